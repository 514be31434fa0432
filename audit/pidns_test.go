package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/process"
)

// inNamespace runs a shell script in a new PID namespace of its own, which ends when the
// test does, and returns a process that is in the innermost one. The script must print
// "ready" and then wait for the end of its input.
func inNamespace(t *testing.T, script string) int {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making and entering PID namespaces takes root")
	}
	token := fmt.Sprintf("safevma-%d-%s", os.Getpid(), t.Name())
	cmd := exec.Command("unshare", "-p", "-f", "-m", "--mount-proc", "--kill-child", "sh", "-c", script, token)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Skip("no unshare(1):", err)
	}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Skipf("no PID namespace can be made here: %q, %v", line, err)
	}
	pids, err := process.Default().PIDs()
	if err != nil {
		t.Fatal(err)
	}
	innermost := 0
	for _, pid := range pids {
		command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(string(command), "sh\x00") && strings.Contains(string(command), token) {
			innermost = pid
		}
	}
	if innermost == 0 {
		t.Fatal("the process in the namespace is not to be found")
	}
	return innermost
}

const wait = "echo ready; read end"

// What vm.memfd_noexec does is tried in the namespace of the process, from outside. That
// it refuses holds only where nobody inside can lower it.
func TestNamespacePolicy(t *testing.T) {
	nested := `echo %d > /proc/sys/vm/memfd_noexec; unshare -p -f -m --mount-proc --kill-child sh -c "` + wait + `" "$0"`
	for name, tt := range map[string]struct {
		script string
		want   guarantee.Status
	}{
		"inherited 0":                {wait, guarantee.Broken},
		"1":                          {"echo 1 > /proc/sys/vm/memfd_noexec; " + wait, guarantee.Broken},
		"2, could be lowered":        {"echo 2 > /proc/sys/vm/memfd_noexec; " + wait, guarantee.Unknown},
		"2, and so is the one above": {fmt.Sprintf(nested, 2), guarantee.Holds},
	} {
		t.Run(name, func(t *testing.T) {
			if own, err := os.ReadFile("/proc/sys/vm/memfd_noexec"); err != nil || string(own) != "0\n" {
				t.Skipf("this host has vm.memfd_noexec = %s, %v", own, err)
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			pid := inNamespace(t, tt.script)
			report, err := audit.Run(context.Background(), audit.Config{Rules: packs(t), Scope: []audit.Selector{pidSelector(t, pid)},
				SkipHost: true, PolicyHelper: []string{exe, policyHelper}, Tool: testTool})
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for _, v := range report.Verdicts {
				if v.Subject.Kind != guarantee.KindPIDNS {
					continue
				}
				found++
				if v.Status != tt.want || v.Method != guarantee.Probe || v.Control.Status != guarantee.ControlPassed {
					t.Errorf("%s by %s, control %s, want %s: %s\n%s", v.Status, v.Method, v.Control.Status, tt.want, v.Message, strings.Join(v.Observation.Raw, "\n"))
				}
			}
			if found != 1 {
				t.Errorf("%d verdicts about PID namespaces, want 1", found)
			}
		})
	}
}
