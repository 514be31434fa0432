package lab

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// markFIFO makes a FIFO, as the lab does, and returns the lines that come.
func markFIFO(t *testing.T) <-chan string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mark")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(path, os.O_RDWR, 0) // it never ends: there is always a writer
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(MarkVariable, path)
	lines := make(chan string, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		for scanner := bufio.NewScanner(fifo); scanner.Scan(); {
			lines <- scanner.Text()
		}
	})
	t.Cleanup(func() { fifo.Close(); wg.Wait() })
	return lines
}

func next(t *testing.T, lines <-chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(time.Minute):
		t.Fatal("no mark comes")
		return ""
	}
}

func TestMark(t *testing.T) {
	lines := markFIFO(t)
	for _, text := range []string{"ready", "now: 100 %", strings.Repeat("x", longestMark)} {
		if err := Mark(text); err != nil {
			t.Errorf("%.20q: %v", text, err)
			continue
		}
		if got := next(t, lines); got != text {
			t.Errorf("%.20q came as %.20q", text, got)
		}
	}
	for _, text := range []string{"", "two\nlines", strings.Repeat("x", longestMark+1)} {
		if err := Mark(text); err == nil {
			t.Errorf("%.20q: want an error", text)
		}
	}
	if err := Mark("last"); err != nil || next(t, lines) != "last" {
		t.Error("a bad mark has left something behind")
	}
}

// Marks of several goroutines come whole.
func TestMarksDoNotMix(t *testing.T) {
	lines := markFIFO(t)
	const each = 50
	want := map[string]bool{}
	var wg sync.WaitGroup
	for _, letter := range "abcd" {
		text := strings.Repeat(string(letter), 3000)
		for i := range each {
			want[fmt.Sprintf("%s%d", text, i)] = true
		}
		wg.Go(func() {
			for i := range each {
				if err := Mark(fmt.Sprintf("%s%d", text, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 * each {
		line := next(t, lines)
		if !want[line] {
			t.Fatalf("%.20q… of %d bytes is no mark, or came twice", line, len(line))
		}
		delete(want, line)
	}
	wg.Wait()
}

func TestMarkWithoutLab(t *testing.T) {
	t.Setenv(MarkVariable, "")
	if err := Mark("ready"); !errors.Is(err, errNoMark) {
		t.Errorf("without the variable: %v", err)
	}
	path := filepath.Join(t.TempDir(), "mark")
	t.Setenv(MarkVariable, path)
	if err := Mark("ready"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the FIFO: %v", err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Mark("ready"); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("without a reader: %v, want ENXIO", err)
	}
}

// PowerCut marks, and does not come back; with nobody to mark to, it fails.
func TestPowerCut(t *testing.T) {
	lines := markFIFO(t)
	returned := make(chan struct{})
	go func() { // it stays to the end of the process
		defer close(returned)
		PowerCut(new(fakeT))
	}()
	if got := next(t, lines); got != PowerCutMark {
		t.Errorf("mark %q", got)
	}
	select {
	case <-returned:
		t.Error("it returned")
	case <-time.After(50 * time.Millisecond):
	}
	t.Setenv(MarkVariable, "")
	var fake fakeT
	if fake.do(func() { PowerCut(&fake) }) || !strings.Contains(fake.failed, "power cut") {
		t.Errorf("with nobody to cut it: %+v", fake)
	}
}
