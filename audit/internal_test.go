package audit

import (
	"errors"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// A fact that was not read is unknown, not false.
func TestUnreadFacts(t *testing.T) {
	c := collector{&auditor{Config: Config{Proc: process.Default()}}}
	s := c.newSubject(7)
	s.err = process.ErrDenied
	facts := processFacts(s)
	for _, name := range []string{"exe_memfd", "exe_deleted", "dumpable", "vma_count", "rss"} {
		if facts.Unknown[name] == "" {
			t.Errorf("%s is taken as read", name)
		}
	}
	if err := (&rules.Facts{Process: facts}).Check(); err != nil {
		t.Error(err)
	}
}

func view(s *subject, inode uint64, kind rules.Kind, perm vma.Perm) {
	v := vma.VMA{Start: 0x1000, End: 0x2000, Perm: perm, Dev: vma.Dev{Minor: 1}, Inode: inode, Name: []byte("/x")}
	if !joins(&v) {
		return
	}
	s.views = append(s.views, newMapping(s, &v, kind))
}

const (
	writes   = vma.PermRead | vma.PermWrite | vma.PermShared
	executes = vma.PermRead | vma.PermExec
)

// Two views of one thing are joined, also of the System V segment with number 0; of two
// things with one number they are not.
func TestJoin(t *testing.T) {
	for name, tt := range map[string]struct {
		a, b       rules.Kind
		inodeA     uint64
		inodeB     uint64
		ipcA, ipcB uint64
		permA      vma.Perm
		want       int
	}{
		"file":                       {a: rules.KindFile, b: rules.KindFile, inodeA: 5, inodeB: 5, permA: writes, want: 1},
		"two files":                  {a: rules.KindFile, b: rules.KindFile, inodeA: 5, inodeB: 6, permA: writes},
		"private writes":             {a: rules.KindFile, b: rules.KindFile, inodeA: 5, inodeB: 5, permA: vma.PermRead | vma.PermWrite},
		"only read":                  {a: rules.KindFile, b: rules.KindFile, inodeA: 5, inodeB: 5, permA: vma.PermRead | vma.PermShared},
		"first segment":              {a: rules.KindSysV, b: rules.KindSysV, ipcA: 1, ipcB: 1, permA: writes, want: 1},
		"segments of two namespaces": {a: rules.KindSysV, b: rules.KindSysV, inodeA: 1, inodeB: 1, ipcA: 1, ipcB: 2, permA: writes},
		"segment and memfd":          {a: rules.KindSysV, b: rules.KindMemfd, inodeA: 1, inodeB: 1, ipcA: 1, ipcB: 1, permA: writes},
	} {
		a, b := &subject{info: process.Info{PID: 1}, ipc: tt.ipcA}, &subject{info: process.Info{PID: 2}, ipc: tt.ipcB}
		view(a, tt.inodeA, tt.a, tt.permA)
		view(b, tt.inodeB, tt.b, executes)
		got := joinInodes([]*subject{a, b})
		if len(got) != tt.want {
			t.Errorf("%s: %d joined, want %d", name, len(got), tt.want)
		}
		if len(got) == 1 && (!got[0].facts.CrossProcess || len(got[0].raw) != 2) {
			t.Errorf("%s: %+v", name, got[0])
		}
	}
}

// A shared mapping of what another process maps shared is foreign, touched or not.
func TestSharedFiles(t *testing.T) {
	declared, other := &subject{info: process.Info{PID: 1}, declared: true}, &subject{info: process.Info{PID: 2}}
	v := vma.VMA{Start: 0x1000, End: 0x4000, Perm: vma.PermRead | vma.PermShared, Dev: vma.Dev{Minor: 1}, Inode: 9}
	declared.candidates = []candidate{{vma: v, kind: rules.KindMemfd, foreign: &foreignPages{of: 1}}}
	view(declared, 9, rules.KindMemfd, writes)
	declared.sharedFiles([]*subject{declared})
	if n := declared.candidates[0].foreign.count; n != 0 {
		t.Errorf("%d pages are shared with nobody", n)
	}
	view(other, 9, rules.KindMemfd, writes)
	declared.sharedFiles([]*subject{declared, other})
	if f := declared.candidates[0].foreign; f.count != 3 || len(f.owners) != 1 || f.owners[0] != 2 || f.raw == "" {
		t.Errorf("%+v", f)
	}
}

// What was not found to be shared becomes unknown, what was stays found.
func TestForeignUnknown(t *testing.T) {
	s := &subject{candidates: []candidate{{foreign: &foreignPages{count: 1}}, {foreign: &foreignPages{}}, {}}}
	s.foreignUnknown(errSwapped)
	if s.candidates[0].foreign == nil || s.candidates[1].foreign != nil || !errors.Is(s.candidates[1].foreignErr, errSwapped) || !errors.Is(s.candidates[2].foreignErr, errSwapped) {
		t.Errorf("%+v", s.candidates)
	}
}

// A kind of file that can't be recognised, and hidden processes, leave what spans all
// processes undecided.
func TestIncomplete(t *testing.T) {
	whole := &subject{info: process.Info{PID: 1}}
	for name, tt := range map[string]struct {
		auditor  auditor
		subjects []*subject
		want     bool
	}{
		"all seen":       {subjects: []*subject{whole}},
		"one denied":     {subjects: []*subject{whole, {err: process.ErrDenied}}, want: true},
		"one ended":      {subjects: []*subject{whole, {err: process.ErrGone}}},
		"one restless":   {subjects: []*subject{whole, {err: errRestless}}, want: true},
		"descriptors":    {subjects: []*subject{{fdErr: process.ErrDenied}}, want: true},
		"kernel thread":  {subjects: []*subject{{info: process.Info{KernelThread: true}, err: process.ErrDenied}}},
		"kind not known": {auditor: auditor{devices: memfd.Devices{Gaps: []memfd.Gap{{Kind: memfd.Secret, Err: process.ErrDenied}}}}, want: true},
		"hidepid":        {auditor: auditor{hidden: "hidepid"}, want: true},
	} {
		if got := tt.auditor.incomplete(tt.subjects); (got != "") != tt.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestHidepid(t *testing.T) {
	line := "22 1 0:20 / /proc rw,nosuid shared:5 - proc proc rw"
	for text, want := range map[string]bool{
		line: false, line + ",hidepid=invisible": true, line + ",hidepid=1,gid=5": true, line + ",hidepid=0": false, line + ",hidepid=off": false,
		line + ",hidepid=2\n" + line:                     false, // the later mount lies over the earlier one
		"22 1 0:20 / /other rw - proc proc rw,hidepid=2": false, "": false, "/proc": false,
	} {
		if got := hidepid(text, "/proc"); (got != "") != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// Where a rule needs several controls, one that did not pass counts.
func TestControlOf(t *testing.T) {
	passed := guarantee.Control{Status: guarantee.ControlPassed}
	failed := guarantee.Control{Status: guarantee.ControlFailed}
	safety, err := rules.Embedded("safety")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range safety.Rules {
		if r.ID != "declared-pages-shared" {
			continue
		}
		for name, c := range map[string]controls{"frames": {space: passed, pages: passed, frames: failed}, "space": {space: failed, pages: passed, frames: passed}} {
			a := auditor{controls: c}
			if got := a.controlOf(r); got.Status != guarantee.ControlFailed {
				t.Errorf("%s failed, and the control is %s", name, got.Status)
			}
		}
	}
}
