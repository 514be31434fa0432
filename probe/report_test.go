package probe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/lab"
)

// reportVariable asks TestReport for a report on standard output: "make ledger" makes
// docs/ledger.md of them.
const reportVariable = "SAFEVMA_PROBE_REPORT"

// A report of a lab machine, which is thrown away: so its first cgroup may hand the memory
// controller on, and its temporary files may be on a disk.
func TestReport(t *testing.T) {
	if os.Getenv(reportVariable) == "" {
		t.Skipf("set %s=1 for a report on standard output", reportVariable)
	}
	lab.Inside(t)
	if err := os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		t.Error(err)
	}
	disk := lab.Disk(t, "ext4")
	if err := os.Chmod(filepath.Dir(disk), 0o755); err != nil {
		t.Error(err)
	}
	t.Setenv("TMPDIR", disk)
	report := runAll(t, Config{Tool: guarantee.Tool{Name: "safevma", Version: "lab"}})
	var b bytes.Buffer
	if err := report.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("%s", b.String())
}
