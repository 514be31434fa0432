package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/lab/wire"
)

// MarkVariable is the environment variable with the path of the FIFO for [Mark]. The lab
// sets it.
const MarkVariable = wire.MarkVariable

// PowerCutMark is the mark at which "safevma-lab exec" cuts the power. A test on the host that
// drives a machine does what it likes with it.
const PowerCutMark = "power-cut"

// longestMark is what a pipe takes whole or not at all (pipe(7), PIPE_BUF), so that
// marks of several threads and processes don't mix.
const longestMark = 4096 - 1

var errNoMark = errors.New("no " + MarkVariable + ": this is not the lab")

// Mark tells the runner, outside of the machine, how far the test is: one line of text.
// When it returns, the line has been handed on, and may not have arrived. Marks may be
// made by several goroutines and processes.
func Mark(text string) error {
	path := os.Getenv(MarkVariable)
	switch {
	case path == "":
		return errNoMark
	case text == "" || strings.Contains(text, "\n") || len(text) > longestMark:
		return fmt.Errorf("mark %.40q: it must be one line of 1 to %d bytes", text, longestMark)
	}
	// Where nobody reads, ENXIO is better than to wait for a reader.
	fifo, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("mark %q: %w", text, err)
	}
	if _, err := fifo.WriteString(text + "\n"); err != nil {
		return errors.Join(fmt.Errorf("mark %q: %w", text, err), fifo.Close())
	}
	return fifo.Close()
}

// PowerCut marks that the power may be cut now, and waits for it. It does not return,
// unless there is nobody to cut it, in which case the test fails.
//
// What the test has in the directories of [DAX] and [Disk] stays behind; the test that
// looks at it after the next boot finds it by [Inside].
func PowerCut(t T) {
	t.Helper()
	if err := Mark(PowerCutMark); err != nil {
		t.Fatalf("power cut: %v", err)
		return
	}
	for {
		time.Sleep(time.Hour)
	}
}
