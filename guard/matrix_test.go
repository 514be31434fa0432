package guard_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/lab/machine"
)

// profiles are the columns of the matrix; "" is none.
var profiles = []string{"", "wx", "secrets", "deterministic", "safety"}

// part is what came of all attacks on one kernel, as root.
type part struct {
	Kernel string `json:"kernel"`
	// Lacking are the rules of a profile that can't be had on it, and why: they are left out.
	Lacking map[string]map[guard.Rule]string `json:"lacking"`
	// Attacks have what came of each under each profile: open, or the errno or signal that closed it.
	Attacks map[string]map[string]string `json:"attacks"`
}

func (p *part) without(profile string) []guard.Rule {
	return slices.Sorted(maps.Keys(p.Lacking[profile]))
}

// notHeld are the rules of a launch that do not hold, and why.
func notHeld(l *guard.Launch) map[guard.Rule]string {
	all := map[guard.Rule]string{}
	for _, v := range l.Verdicts {
		if v.Status != guarantee.Holds {
			all[guard.Rule(v.Rule)] = v.Message
		}
	}
	return all
}

// lacking tries a profile, and returns what of it does not hold here.
func lacking(t *testing.T, profile string) (all map[guard.Rule]string) {
	t.Helper()
	if profile == "" {
		return nil
	}
	cmd := launcher(profile, nil, victim(t))
	cmd.Env = append(cmd.Env, planEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("plan of %s: %v", profile, err)
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("plan of %s: %v: %s", profile, err, out)
	}
	return all
}

const partFolder = "testdata/run-matrix"

// kernel returns the release of this kernel, and the file of its part. Kernels of the lab have their own:
// another one of the same series may have been built with other things.
func kernel(t *testing.T) (release, file string) {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	release = strings.TrimSpace(string(text))
	name := series(release)
	if runtime.GOARCH != "amd64" {
		name += "-" + runtime.GOARCH
	}
	if _, inside, err := machine.Here(); err != nil {
		t.Fatal(err)
	} else if inside {
		return release, filepath.Join(partFolder, "lab-"+name+".json")
	}
	release, _, _ = strings.Cut(release, "-")
	return release, filepath.Join(partFolder, name+".json")
}

// recorded is the part of the matrix for root on this kernel, nil where there is none.
func recorded(t *testing.T) *part {
	t.Helper()
	_, file := kernel(t)
	if os.Geteuid() != 0 {
		return nil
	}
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	return readPart(t, file)
}

func readPart(t *testing.T, file string) *part {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var p part
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return &p
}

// partVariable asks TestMatrixPart for the part of this kernel, for "make run-matrix".
const partVariable = "SAFEVMA_RUN_MATRIX"

// TestMatrixPart writes what comes of all attacks on this kernel to a file.
func TestMatrixPart(t *testing.T) {
	if os.Getenv(partVariable) == "" {
		t.Skipf("set %s=1 for the part of this kernel on standard output", partVariable)
	}
	release, _ := kernel(t)
	p := part{release, map[string]map[guard.Rule]string{}, map[string]map[string]string{}}
	for _, profile := range profiles {
		if all := lacking(t, profile); len(all) > 0 {
			p.Lacking[profile] = all
		}
	}
	for i := range attacks {
		a := &attacks[i]
		p.Attacks[a.name] = map[string]string{}
		for _, profile := range profiles {
			p.Attacks[a.name][profile] = run(t, a, profile, p.without(profile)...)
		}
	}
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s\n", text)
}

const matrix = "../docs/run-matrix.md"

// TestMatrix keeps the table of attacks, profiles and kernels, which -update makes anew of its parts. That
// each line is so is for TestAttacks, on each of these kernels.
func TestMatrix(t *testing.T) {
	files, err := filepath.Glob(partFolder + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no parts in %s: make run-matrix (%v)", partFolder, err)
	}
	var parts []*part
	for _, file := range files {
		parts = append(parts, readPart(t, file))
	}
	slices.SortFunc(parts, func(a, b *part) int {
		return cmp.Or(cmp.Compare(version(a.Kernel), version(b.Kernel)), cmp.Compare(label(a.Kernel), label(b.Kernel)))
	})
	want := matrixPage(parts)
	if *update {
		if err := os.WriteFile(matrix, []byte(want), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(matrix)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what its parts say: go test ./guard -run Matrix -update", matrix)
	}
}
