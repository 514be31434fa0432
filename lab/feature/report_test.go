package feature

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab/machine"
)

func exampleReport() Report {
	yes, no := true, false
	return Report{Format: Format, Kernel: "6.12.1", Arch: "amd64",
		Machine: &machine.Machine{Kernel: "6.12.1", Arch: "amd64", Accel: "tcg", MemoryMiB: 1024, CPUs: 2, NUMANodes: 1},
		Features: []Row{
			{Result: Result{Feature: "mseal", Answer: Present, Observed: "munmap: EPERM", Errno: "EPERM", Control: "mprotect before: ok"}, Expected: &yes, Why: "since 6.10"},
			{Result: Result{Feature: "numa", Answer: Absent, Observed: "one\nnode"}, Expected: &no, Why: "1 node"},
			{Result: Result{Feature: "pku", Answer: Absent, Observed: "pkey_alloc: EINVAL", Errno: "EINVAL"}},
		}}
}

// The JSON form is a promise to readers: a difference here needs a new name of the
// format, unless fields are only added.
func TestReportJSON(t *testing.T) {
	got, err := json.Marshal(exampleReport())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"format":"safevma.features/v1","kernel":"6.12.1","arch":"amd64",` +
		`"machine":{"kernel":"6.12.1","arch":"amd64","accel":"tcg","memory_mib":1024,"cpus":2,"numa_nodes":1},` +
		`"features":[` +
		`{"feature":"mseal","answer":"present","observed":"munmap: EPERM","errno":"EPERM","control":"mprotect before: ok","expected":true,"why":"since 6.10"},` +
		`{"feature":"numa","answer":"absent","observed":"one\nnode","expected":false,"why":"1 node"},` +
		`{"feature":"pku","answer":"absent","observed":"pkey_alloc: EINVAL","errno":"EINVAL"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReportText(t *testing.T) {
	var b bytes.Buffer
	if err := exampleReport().Text(&b); err != nil {
		t.Fatal(err)
	}
	const want = `6.12.1 (amd64)

FEATURE  ANSWER   EXPECTED    OBSERVED            CONTROL
mseal    present  yes         munmap: EPERM       mprotect before: ok
numa     absent   no: 1 node  one node            -
pku      absent   -           pkey_alloc: EINVAL  -
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestMatrix(t *testing.T) {
	other := Report{Kernel: "6.1.0", Arch: "arm64", Features: []Row{{Result: Result{Feature: "mseal", Answer: Absent, Errno: "ENOSYS"}}}}
	var b bytes.Buffer
	if err := Matrix(&b, []Report{exampleReport(), other}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if len(lines) != len(All())+2 || lines[0] != "| feature | 6.12.1 (amd64) | 6.1.0 (arm64) |" || lines[1] != "|---|---|---|" {
		t.Fatalf("got\n%s", &b)
	}
	for name, want := range map[string]string{"mseal": "| present | absent (ENOSYS) |", "numa": "| absent | - |", "psi": "| - | - |"} {
		f, _ := Find(name)
		if line := "| " + f.Name + ": " + f.Title + " " + want; !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, &b)
		}
	}
}
