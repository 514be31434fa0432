package region

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// ErrInterrupted reports that a signal ended the reading from a terminal.
var ErrInterrupted = errors.New("interrupted")

// ReadTerminal returns a region with a line that is typed, of at most so many bytes, without its
// end; what is typed is not shown. Say before what to type: it prints nothing. An empty line, and
// one that is longer, or of 4095 bytes or more, which the kernel cuts, is [ErrSize], the end of the input
// io.EOF. Calls at the same time read one after the other.
//
// The terminal is as before on every way out: after errors, when a function that it calls panics,
// and after SIGINT, SIGTERM, SIGHUP and SIGQUIT, which end the reading with [ErrInterrupted] while it
// lasts and do nothing else; it is for the program to end then. The key that stops a program (^Z)
// does nothing meanwhile. What was typed and not read is dropped. A process that ends while it
// reads, by SIGKILL or os.Exit, leaves a terminal without echo.
//
// The kernel's buffer of the terminal holds what is typed until it is read, and so does whatever is
// between this process and the keyboard. Two regions are there while it reads, as of [ReadFrom].
func ReadTerminal(f *os.File, most int, options ...Option) (*Region, error) {
	if most < 1 || most > maxSize-1 {
		return nil, &Error{Op: "read terminal", Reason: fmt.Sprintf("at most %d bytes", most), Err: ErrSize}
	}
	return gather("read terminal", most+1, options, func(r *Region) (int, error) { return readLine(f, r) })
}

// oneReader: two at a time would each take the other's settings for those to restore.
var oneReader sync.Mutex

// longestLine is from how many bytes on the kernel cuts lines, and says nothing (termios(3)).
const longestLine = 4095

func readLine(f *os.File, r *Region) (n int, err error) {
	oneReader.Lock()
	defer oneReader.Unlock()
	before, err := sys.GetTerminal(f)
	if err != nil {
		return 0, &Error{Op: "read terminal", Reason: "it is no terminal", Err: both(ErrUnsupported, err)}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(ended)
	defer func() {
		if restored := sys.SetTerminal(f, before); err == nil && restored != nil {
			err = &Error{Op: "read terminal", Reason: "it can't be restored", Err: restored}
		}
	}()
	if err := sys.SetTerminal(f, before.Quiet()); err != nil {
		return 0, &Error{Op: "read terminal", Reason: "the echo can't be switched off", Err: err}
	}
	for n < r.Size() {
		if err := awaitInput(f, ended); err != nil {
			return 0, err
		}
		line := -1
		err := r.Write(func(b []byte) error {
			got, err := f.Read(b[n:])
			if end := bytes.IndexByte(b[n:n+got], '\n'); end >= 0 {
				line = n + end
			}
			n += got
			return err
		})
		if line >= longestLine {
			return 0, &Error{Op: "read terminal", Reason: "the kernel cuts lines so long", Err: ErrSize}
		}
		if line >= 0 {
			return n - 1, nil
		}
		if err != nil {
			return 0, &Error{Op: "read terminal", Err: err}
		}
	}
	return 0, &Error{Op: "read terminal", Reason: fmt.Sprintf("more than %d bytes", r.Size()-1), Err: ErrSize}
}

// awaitInput waits for something to read or a signal. It looks for signals at this interval.
const signalInterval = 50 * time.Millisecond

func awaitInput(f *os.File, ended <-chan os.Signal) error {
	for {
		ready, err := sys.WaitReadable(f, signalInterval)
		if err != nil {
			return &Error{Op: "read terminal", Err: err}
		}
		select {
		case s := <-ended:
			return &Error{Op: "read terminal", Reason: s.String(), Err: ErrInterrupted}
		default:
		}
		if ready {
			return nil
		}
	}
}
