package guard_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// screen is a shell at a terminal of its own.
type screen struct {
	t    *testing.T
	user *os.File
	seen chan byte
	all  bytes.Buffer
}

func shellAt(t *testing.T, env ...string) *screen {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no shell with job control:", err)
	}
	user, program, err := sys.OpenPTY()
	if err != nil {
		t.Skip(err)
	}
	defer program.Close()
	cmd := exec.Command(bash, "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(os.Environ(), append(env, "PS1=# ")...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, user: user, seen: make(chan byte, 1<<16)}
	go func() {
		defer close(s.seen)
		b := make([]byte, 1)
		for {
			if n, err := user.Read(b); n != 1 || err != nil {
				return
			}
			s.seen <- b[0]
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // the leader of a session: all that is in the foreground gets SIGHUP
		_ = cmd.Wait()
		user.Close()
	})
	return s
}

// types presses keys, and waits until the terminal shows something after what it showed before.
func (s *screen) types(keys, want string) {
	s.t.Helper()
	if _, err := s.user.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
	from, deadline := s.all.Len(), time.After(20*time.Second)
	for !strings.Contains(s.all.String()[from:], want) {
		select {
		case b, ok := <-s.seen:
			if !ok {
				s.t.Fatalf("the terminal closed: %s", s.all.String())
			}
			s.all.WriteByte(b)
		case <-deadline:
			s.t.Fatalf("%q does not come after %q:\n%s", want, keys, s.all.String())
		}
	}
}

// atTerminal is a shell in which "$V SCRIPT" runs a shell script under rules.
func atTerminal(t *testing.T, script string) *screen {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := launcher("wx", leftOut(), "/bin/sh", file)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := shellAt(t, "V="+exe+" /bin/sh "+file)
	for _, e := range cmd.Env {
		if strings.HasPrefix(e, launchEnv+"=") || strings.HasPrefix(e, withoutEnv+"=") {
			s.types("export "+e+"\n", "# ")
		}
	}
	return s
}

// TestKeys: a key sends its signal to the program once, and to it alone.
func TestKeys(t *testing.T) {
	s := atTerminal(t, "n=0; trap 'n=$((n+1))' INT; echo rea''dy; while [ $n = 0 ]; do sleep 0.05; done; sleep 0.2; echo ended after $n\n")
	s.types("$V\n", "ready")
	s.types("\x03", "ended after 1")
}

// TestSuspend: a program of several processes that a key stops goes on in the foreground as a whole.
func TestSuspend(t *testing.T) {
	s := atTerminal(t, "echo rea''dy; (sleep 1; echo chi''ld); read x; echo got $x\n")
	s.types("$V\n", "ready")
	s.types("\x1a", "Stopped")
	s.types("fg\n", "child")
	s.types("word\n", "got word")
}

// TestBackground: a program that was started in the background gets the terminal when it is brought to the
// foreground: one that was stopped because it did not have it, and one that asks for it then.
func TestBackground(t *testing.T) {
	s := atTerminal(t, "echo rea''dy; read x; echo got $x\n")
	s.types("$V &\n", "ready")
	s.types("while ! jobs | grep -q Stopped; do sleep 0.1; done; echo it sto''pped\n", "it stopped")
	s.types("fg\n", "$V")
	s.types("word\n", "got word")

	file := filepath.Join(t.TempDir(), "go")
	s = atTerminal(t, "echo rea''dy; while ! [ -e "+file+" ]; do sleep 0.05; done; read x; echo got $x\n")
	s.types("$V &\n", "ready")
	s.types("fg\n", "$V")
	time.Sleep(300 * time.Millisecond) // the shell says so before it does so
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s.types("word\n", "got word")
}
