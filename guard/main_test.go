package guard_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safevma/safevma/guard"
)

var update = flag.Bool("update", false, "write docs/run-matrix.md anew")

// attackEnv asks this test binary to be an attack on itself.
const attackEnv = "SAFEVMA_GUARD_ATTACK"

func TestMain(m *testing.M) {
	if guard.Asked() {
		os.Exit(guard.Serve())
	}
	if len(os.Args) > 1 && os.Args[1] == coreHandler {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	if dir := os.Getenv(groupEnv); dir != "" {
		os.Unsetenv(groupEnv)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			os.Exit(failed(err))
		}
	}
	if os.Getenv(managerEnv) != "" {
		os.Exit(manager())
	}
	if profiles := os.Getenv(launchEnv); profiles != "" {
		os.Unsetenv(launchEnv)
		os.Exit(launch(profiles))
	}
	if profiles := os.Getenv(nestedEnv); profiles != "" && len(os.Args) > 1 {
		os.Exit(launch(profiles))
	}
	if os.Getenv(crashEnv) != "" {
		os.Exit(crash())
	}
	if name := os.Getenv(workloadEnv); name != "" {
		os.Exit(workload(name))
	}
	if n := os.Getenv(serviceEnv); n != "" {
		os.Exit(service(n))
	}
	if text := os.Getenv(sayEnv); text != "" {
		fmt.Println(text)
		os.Exit(0)
	}
	if name := os.Getenv(hogEnv); name != "" {
		os.Exit(hog(name))
	}
	if filepath.Base(os.Args[0]) == "victim" && os.Getenv(attackEnv) == "" {
		os.Exit(0)
	}
	if name := os.Getenv(attackEnv); name != "" {
		for _, a := range attacks {
			if a.name == name {
				fmt.Println(outcome(a.try()))
				os.Exit(0)
			}
		}
		os.Exit(3)
	}
	status := m.Run()
	if copied != "" {
		os.RemoveAll(filepath.Dir(copied))
	}
	os.Exit(status)
}

// launchEnv asks this test binary to be a launcher, with profiles; withoutEnv names rules that may fail,
// skipEnv one that is not applied.
const (
	launchEnv  = "SAFEVMA_GUARD_LAUNCH"
	withoutEnv = "SAFEVMA_GUARD_WITHOUT"
	skipEnv    = "SAFEVMA_GUARD_SKIP"
	nestedEnv  = "SAFEVMA_GUARD_NESTED" // asks the victim to be a launcher
	sayEnv     = "SAFEVMA_GUARD_SAY"    // asks the victim to write a line
	planEnv    = "SAFEVMA_GUARD_PLAN"   // asks a launcher to write what does not hold, and to start nothing
)

// launcher is the command that starts a program under profiles.
func launcher(profiles string, without []guard.Rule, command ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", command...)
	var rules []string
	for _, r := range without {
		rules = append(rules, string(r))
	}
	cmd.Env = append(os.Environ(), launchEnv+"="+profiles, withoutEnv+"="+strings.Join(rules, ","))
	return cmd
}

// launch starts a program, and returns its exit status, 128 more than the signal where one ended it, or
// 125.
func launch(profiles string) int {
	var all []guard.Profile
	for name := range strings.SplitSeq(profiles, ",") {
		p, err := guard.Load(name)
		if err != nil {
			return failed(err)
		}
		all = append(all, p)
	}
	s, err := guard.Combine(all...)
	if err != nil {
		return failed(err)
	}
	c := guard.Config{Settings: s, Command: os.Args[1:]}
	if c.Keep, err = guard.Activated(); err != nil {
		return failed(err)
	}
	for r := range strings.SplitSeq(os.Getenv(withoutEnv), ",") {
		c.Without = append(c.Without, guard.Rule(r))
	}
	os.Unsetenv(withoutEnv)
	if r := os.Getenv(skipEnv); r != "" {
		c.Skip(guard.Rule(r))
		os.Unsetenv(skipEnv)
	}
	if os.Getenv(planEnv) != "" {
		c.Dry = true
		c.Verdicts = func(l *guard.Launch) error { return json.NewEncoder(os.Stdout).Encode(notHeld(l)) }
	}
	status, err := guard.Run(c)
	switch {
	case err != nil:
		return failed(err)
	case status.Signaled():
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// distribution skips a test where there are no ordinary programs, as in the lab.
func distribution(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("no ordinary programs here: ", err)
	}
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 125
}
