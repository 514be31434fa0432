// Package hog starts processes that use memory, for tests of control groups, pressure and
// reclaim. They are copies of the test program, so that they run where there is no other
// program: a test's TestMain calls [Main] first.
package hog

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
)

// environment says what a copy does.
const environment = "SAFEVMA_HOG"

// T is the part of testing.TB that is used.
type T interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
	Skip(args ...any)
}

// Process is one that waits, and then uses memory until the test ends.
type Process struct {
	PID int
	// End ends it before the test does.
	End func()
	in  io.WriteCloser
	out *bufio.Reader
}

// Reads starts a process that reads a file of so many bytes in dir again and again: in a
// group with less memory the kernel reclaims all the time.
func Reads(t T, dir string, bytes int64) *Process {
	t.Helper()
	name := filepath.Join(dir, "large")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, bytes); err != nil {
		t.Skip(err)
	}
	return start(t, "reads", name)
}

// Holds starts a process that takes so much memory of its own, and keeps it.
func Holds(t T, bytes int64) *Process {
	t.Helper()
	return start(t, "holds", strconv.FormatInt(bytes, 10))
}

func start(t T, what, argument string) *Process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, what, argument)
	cmd.Env = append(os.Environ(), environment+"=1", "GOMAXPROCS=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &Process{PID: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	p.End = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(p.End)
	if line, err := p.out.ReadString('\n'); err != nil || line != "waits\n" {
		t.Fatal("a copy of this test says", line, err)
	}
	return p
}

// Go lets the process begin; it may be called from any goroutine, once.
func (p *Process) Go() error {
	_, err := fmt.Fprintln(p.in, "go")
	return err
}

// Ready waits until the process has the memory that it holds.
func (p *Process) Ready() error {
	line, err := p.out.ReadString('\n')
	if err == nil && line != "ready\n" {
		err = fmt.Errorf("it says %q", line)
	}
	return err
}

// Main does what a copy is for, and does not return then.
func Main() {
	if os.Getenv(environment) == "" || len(os.Args) != 3 {
		return
	}
	fmt.Println("waits")
	input := bufio.NewReader(os.Stdin)
	if _, err := input.ReadString('\n'); err != nil {
		os.Exit(1)
	}
	if err := run(os.Args[1], os.Args[2], input); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, _ = input.ReadString('\n') // until the test closes the other end
	os.Exit(0)
}

func run(what, argument string, input *bufio.Reader) error {
	switch what {
	case "maps":
		return serve(argument, input)
	case "holds":
		n, err := strconv.Atoi(argument)
		if err != nil {
			return err
		}
		held = make([]byte, n)
		for i := 0; i < n; i += os.Getpagesize() {
			held[i] = 1
		}
		fmt.Println("ready")
		return nil
	case "reads":
		for {
			if err := readAll(argument); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%q", what)
}

var held []byte

func readAll(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	buf := make([]byte, 1<<20)
	for {
		if _, err := file.Read(buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
