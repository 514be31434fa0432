package region_test

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/region"
)

func terminal(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, program, err := sys.OpenPTY()
	if err != nil {
		t.Skip("no terminal: ", err)
	}
	t.Cleanup(func() { user.Close(); program.Close() })
	return user, program
}

// Each way out: what comes back, and a terminal as before. What is typed shows nowhere.
func TestReadTerminal(t *testing.T) {
	for _, tt := range []struct {
		name, keys string
		do         func()
		want       string
		err        error
	}{
		{"a line", "hunter2\n", nil, "hunter2", nil},
		{"return", "hunter2\r", nil, "hunter2", nil},
		{"edited", "hux\x7fnter2\n", nil, "hunter2", nil},
		{"stop key", "hunt\x1aer2\n", nil, "hunt\x1aer2", nil},
		{"longest", "0123456789\n", nil, "0123456789", nil},
		{"too long", "0123456789a\n", nil, "", region.ErrSize},
		{"empty", "\n", nil, "", region.ErrSize},
		{"ended", "\x04", nil, "", io.EOF},
		{"signal", "hunt", func() { syscall.Kill(os.Getpid(), syscall.SIGTERM) }, "", region.ErrInterrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			user, program := terminal(t)
			before, err := sys.GetTerminal(program)
			if err != nil || !before.Echoes() {
				t.Fatalf("no echo before: %v", err)
			}
			typed := make(chan error, 1)
			go func() { typed <- typeQuietly(user, program, tt.keys, tt.do) }()
			r, err := region.ReadTerminal(program, 10, region.Guarded())
			if err := <-typed; err != nil {
				t.Error(err)
			}
			if after, err := sys.GetTerminal(program); after != before || err != nil {
				t.Errorf("the terminal is not as before: %v", err)
			}
			if !errors.Is(err, tt.err) || (r == nil) != (tt.err != nil) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if r != nil {
				if ok, err := r.Equal([]byte(tt.want)); !ok || err != nil {
					t.Errorf("read %q, %v", r.Bytes(), err)
				}
				r.Close()
			}
			if shown := screen(t, user); strings.TrimSpace(shown) != "" {
				t.Errorf("shown: %q", shown)
			}
		})
	}
}

// typeQuietly waits until the echo is off, and types.
func typeQuietly(user, program *os.File, keys string, do func()) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		state, err := sys.GetTerminal(program)
		if err != nil {
			return err
		}
		if !state.Echoes() {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("the echo stays on")
		}
	}
	_, err := user.WriteString(keys)
	if do != nil {
		do()
	}
	return err
}

// screen returns what the terminal has shown so far.
func screen(t *testing.T, user *os.File) string {
	t.Helper()
	var all []byte
	for {
		ready, err := sys.WaitReadable(user, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !ready {
			return string(all)
		}
		b := make([]byte, 100)
		n, err := user.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b[:n]...)
	}
}

// What follows the line is dropped, so that a program which goes on does not take it for a command.
func TestReadTerminalDropsTheRest(t *testing.T) {
	user, program := terminal(t)
	typed := make(chan error, 1)
	go func() { typed <- typeQuietly(user, program, "one\ntwo\n", nil) }()
	r, err := region.ReadTerminal(program, 10)
	if err := errors.Join(err, <-typed); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if ready, err := sys.WaitReadable(program, 10*time.Millisecond); ready || err != nil {
		t.Errorf("there is more: %v", err)
	}
}

func TestReadTerminalRefusals(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	_, err = region.ReadTerminal(in, 10)
	if !errors.Is(err, region.ErrUnsupported) || !errors.Is(err, syscall.ENOTTY) {
		t.Error(err)
	}
	_, program := terminal(t)
	if _, err := region.ReadTerminal(program, 0); !errors.Is(err, region.ErrSize) {
		t.Error(err)
	}
}

// What the kernel cut is not taken for the whole.
func TestReadTerminalLongLines(t *testing.T) {
	for n, want := range map[int]error{4094: nil, 4095: region.ErrSize, 5000: region.ErrSize} {
		user, program := terminal(t)
		typed := make(chan error, 1)
		go func() { typed <- typeQuietly(user, program, strings.Repeat("x", n)+"\n", nil) }()
		r, err := region.ReadTerminal(program, 10_000)
		if !errors.Is(err, want) || err == nil && r.Size() != n {
			t.Errorf("%d bytes: %v, want %v", n, err, want)
		}
		if err := <-typed; err != nil {
			t.Error(err)
		}
		if err == nil {
			r.Close()
		}
	}
}

// Two that read at the same time leave the terminal as it was.
func TestReadTerminalTwice(t *testing.T) {
	user, program := terminal(t)
	before, err := sys.GetTerminal(program)
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 2)
	for range 2 {
		go func() {
			r, err := region.ReadTerminal(program, 10)
			if err == nil {
				err = r.Close()
			}
			read <- err
		}()
	}
	time.Sleep(20 * time.Millisecond) // both are there, or one comes later, which is easier
	for range 2 {
		err := typeQuietly(user, program, "line\n", nil)
		select {
		case one := <-read:
			err = errors.Join(err, one)
		case <-time.After(10 * time.Second):
			err = errors.New("what was typed was not read")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if after, err := sys.GetTerminal(program); after != before || err != nil {
		t.Errorf("the terminal is not as before: %v", err)
	}
}
