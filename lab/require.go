package lab

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/safevma/safevma/lab/feature"
)

// Require lets the test go on where the feature with the given name is there. Each
// feature is probed once in the life of the process, since that may take seconds.
func Require(t T, name string) {
	t.Helper()
	f, ok := feature.Find(name)
	if !ok {
		t.Fatalf("no feature %q: there are %s", name, names())
		return
	}
	m, inside := here(t)
	why := circumstances{inside: inside, superuser: os.Geteuid() == 0}
	if inside {
		why.expected, why.reason = f.Expected(m)
	}
	switch do, message := decide(f, why, func() feature.Result { return probed(f) }); do {
	case skip:
		t.Skipf("%s", message)
	case fail:
		t.Fatalf("%s", message)
	}
}

func names() string {
	var list []string
	for _, f := range feature.All() {
		list = append(list, f.Name)
	}
	return strings.Join(list, ", ")
}

var results struct {
	sync.Mutex
	once map[string]func() feature.Result // by the feature's name
}

func probed(f feature.Feature) feature.Result {
	results.Lock()
	if results.once == nil {
		results.once = map[string]func() feature.Result{}
	}
	once, ok := results.once[f.Name]
	if !ok {
		once = sync.OnceValue(f.Probe)
		results.once[f.Name] = once
	}
	results.Unlock()
	return once()
}

// circumstances are what a decision depends on beside the feature.
type circumstances struct {
	inside    bool   // the lab
	superuser bool   // who runs the test
	expected  bool   // inside: this machine should have the feature
	reason    string // inside: why, or why not
}

type decision int

const (
	run decision = iota
	skip
	fail
)

// decide says what is to become of a test that needs a feature. What is present is used,
// expected or not: the experiment is the answer.
func decide(f feature.Feature, c circumstances, probe func() feature.Result) (decision, string) {
	if !c.inside && f.LabOnly() {
		return skip, fmt.Sprintf("needs %s, which is probed in the lab alone: %s", f.Name, f.Risk)
	}
	if f.Privileged && !c.superuser {
		return skip, fmt.Sprintf("needs %s, which the superuser alone can probe", f.Name)
	}
	r := probe()
	said := fmt.Sprintf("needs %s, which is %s here: %s", f.Name, r.Answer, r.Observed)
	switch {
	case r.Answer == feature.Present:
		return run, ""
	case !c.inside:
		return skip, said
	case c.expected:
		return fail, said + "; it should be there: " + c.reason
	}
	return skip, said + "; it is not to be expected: " + c.reason
}
