package guard_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/lab/machine"
)

const (
	crashEnv    = "SAFEVMA_GUARD_CRASH" // asks the victim to have a child that crashes, and to say whether that was dumped
	coreHandler = "core-handler"        // the argument that asks the victim to take a core dump
)

// crash says whether the kernel dumped a child that was ended by SIGSEGV.
func crash() int {
	if os.Getenv(crashEnv) == "limit" {
		_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) // what it is then, the outcome says
	}
	cmd := other()
	if _, err := cmd.StdinPipe(); err != nil { // at which it waits
		return failed(err)
	}
	if err := cmd.Start(); err != nil {
		return failed(err)
	}
	if err := cmd.Process.Signal(syscall.SIGSEGV); err != nil {
		return failed(err)
	}
	_ = cmd.Wait()
	fmt.Println("dumped", cmd.ProcessState.Sys().(syscall.WaitStatus).CoreDump())
	return 0
}

// TestCorePiped: where a program takes core dumps, as systemd-coredump does, it gets none of what a program
// without dumps has executed: RLIMIT_CORE 0 alone does not keep it from that.
func TestCorePiped(t *testing.T) {
	if _, inside, err := machine.Here(); err != nil {
		t.Fatal(err)
	} else if !inside {
		t.Skip("kernel.core_pattern is of the whole host: tried in the lab")
	}
	const pattern = "/proc/sys/kernel/core_pattern"
	before, err := os.ReadFile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pattern, []byte("|"+victim(t)+" "+coreHandler), 0); err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(pattern, before, 0)
	for _, c := range []struct{ profile, how, want string }{
		{"", "1", "dumped true"}, {"", "limit", "dumped true"}, {"deterministic", "1", "dumped true"}, {"secrets", "1", "dumped false"},
	} {
		cmd := exec.Command(victim(t))
		if c.profile != "" {
			cmd = launcher(c.profile, leftOut(), victim(t))
		}
		cmd.Env = append(cmd.Environ(), crashEnv+"="+c.how)
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("under %q, %s: %v, %s, want %s", c.profile, c.how, err, out, c.want)
		}
	}
}
