package term

import (
	"bytes"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"

	"github.com/safevma/safevma/kernel/damon"
)

// What is not ours is said to be so, old numbers are said to be old, and the filter that
// stands in no directory is shown.
func TestDAMON(t *testing.T) {
	zero := uint64(0)
	k := damon.Kdamond{State: damon.On, PID: 7, RefreshMS: &zero, Contexts: []damon.Context{{Operations: damon.PAddr,
		Targets: []damon.Target{{Regions: []damon.AddrRegion{{Start: 0, End: 4096}}}},
		Schemes: []damon.Scheme{{Action: damon.PageOut, Watermarks: damon.Watermarks{Metric: damon.NoWatermark}}}}}}
	s := &damon.Status{Interface: &damon.Interface{Kdamonds: []damon.Kdamond{k}}, Modules: &damon.Modules{Stat: &damon.StatModule{Enabled: true}},
		Threads: []damon.Thread{{PID: 7, Name: "kdamond.0", Owner: damon.ByInterface, Evidence: "kdamonds/0/pid"}},
		Holders: []damon.Holder{{PID: 9, Name: "tool", Files: []string{"kdamonds/0/state"}}}}
	show := func() string {
		var b bytes.Buffer
		w := &Writer{out: &colorprofile.Writer{Forward: &b, Profile: colorprofile.NoTTY}}
		w.DAMON(s)
		return b.String()
	}
	text := show()
	for _, want := range []string{"not started by safevma", "tool (pid 9) has files", "damon_stat enabled", "damon_reclaim not built", "0x0-0x1000 (4 KiB)",
		"the kernel's own: reject young", "nothing updates them", "no quota"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	zero = 1000
	if strings.Contains(show(), "nothing updates them") {
		t.Error("the kernel updates them each second")
	}
	s.Interface, s.Modules, s.Threads, s.Unseen = nil, nil, nil, []string{"permission denied"}
	if text := show(); !strings.Contains(text, "unknown: permission denied") {
		t.Error(text)
	}
}
