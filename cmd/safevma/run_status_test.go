package main

import (
	"bufio"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// shell skips a test where there is none.
func shell(t *testing.T) string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	return sh
}

// A program that ends by itself when it is told to end has its own status, and not that of the signal.
func TestRunSignalled(t *testing.T) {
	sh := shell(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			continue // so does the program: no shell takes that back
		}
		for status, script := range []string{"trap 'exit 0' TERM INT HUP; echo up; read line", "trap 'exit 1' TERM INT HUP; echo up; read line"} {
			cmd := exec.Command("safevma", "run", "--profile", "secrets", "--without", "lock", "--", sh, "-c", script)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			in.Close()
			if got := cmd.ProcessState.ExitCode(); got != status || said.String() != "" {
				t.Errorf("%v: exit status %d, want %d: %s", sig, got, status, said.String())
			}
		}
	}
}

// What a shell has it ignore, the program ignores.
func TestRunIgnored(t *testing.T) {
	cmd := exec.Command(shell(t), "-c", "trap '' HUP INT; exec safevma run --profile secrets --without lock -- cat /proc/self/status")
	out, err := cmd.Output()
	_, ignored, _ := strings.Cut(string(out), "SigIgn:\t")
	ignored, _, _ = strings.Cut(ignored, "\n")
	set, hexErr := strconv.ParseUint(ignored, 16, 64)
	const named = 1<<31 - 1 // what is above is the C library's, under the race detector
	if err != nil || hexErr != nil || set&named != 3 {
		t.Errorf("%v: %s", err, out)
	}
}

// Failures of the command itself have a status that no program is likely to have, and start nothing.
func TestRunFailures(t *testing.T) {
	sh := shell(t)
	for args, want := range map[string]int{
		"--no-such-flag":                     exitOwn,
		"":                                   exitOwn,
		"--output xml -- " + sh:              exitOwn,
		"--report /no-such/file -- " + sh:    exitOwn,
		"-- " + filepath.Dir(sh):             exitNotExecutable,
		"-- ./no-such":                       exitNotFound,
		"--profile no-such -- " + sh:         exitOwn,
		"--profile secrets -- " + sh + " -x": 0,
	} {
		cmd := exec.Command("safevma", append([]string{"run", "--profile", "secrets", "--without", "lock"}, strings.Fields(args)...)...)
		cmd.Stdin = strings.NewReader("echo it runs >&2")
		status, said := ended(t, cmd)
		if status != want || strings.Contains(said, "it runs") != (want == 0) {
			t.Errorf("%s: exit status %d, want %d: %s", args, status, want, said)
		}
	}
}

// A plan says by its status whether the program would start.
func TestRunPlanStatus(t *testing.T) {
	sh := shell(t)
	profile := filepath.Join(t.TempDir(), "profile.yaml")
	text := "schema: safevma.profile/v1\nname: gone\nrules: {noexec-folders: true}\nnoexec_folders: [/nowhere]\n"
	if err := os.WriteFile(profile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		status int
		flags  []string
	}{
		{0, []string{"--profile", "secrets", "--without", "lock"}},
		{exitFindings, []string{"--profile", profile}},
		{0, []string{"--profile", profile, "--without", "noexec-folders"}},
	} {
		cmd := exec.Command("safevma", append(append([]string{"run", "--plan"}, test.flags...), "--", sh, "-c", "echo it runs")...)
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != test.status || strings.Contains(string(out), "it runs") {
			t.Errorf("%v: exit status %d, want %d: %s", test.flags, got, test.status, out)
		}
	}
}
