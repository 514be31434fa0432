package offender

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// TriggerGo is the line that makes the offender "manifest" go on. It answers with a
// second report.
const TriggerGo = "go"

// Lengths of what the offender maps when it goes on, in pages.
const (
	furtherLibrary = 2
	furtherMemory  = 3
)

// manifest is a process whose mappings are stable, and which maps more, or does not,
// when it is told to go on. A Go program would not do: its runtime maps memory when
// it likes. So the process in question is a copy of this one in which no runtime is
// at work.
func manifest(change bool) func(*run) error {
	return func(r *run) error {
		lib, err := r.mapFile("libdeclared.so", 2, protRX, sys.MapPrivate)
		if err != nil {
			return err
		}
		r.show(lib)
		extra, err := r.file("libextra.so", furtherLibrary)
		if err != nil {
			return err
		}
		var later [2]sys.LaterMapping
		if change {
			later = [2]sys.LaterMapping{
				{Length: furtherLibrary * pageSize, Prot: protRX, Flags: sys.MapPrivate, FD: int(extra.Fd())},
				// Shared, so that it does not merge with a neighbour.
				{Length: furtherMemory * pageSize, Prot: protRW, Flags: sys.MapShared | sys.MapAnonymous, FD: -1},
			}
		}
		return r.forkMapper(later)
	}
}

// forkMapper makes the copy and gives it the orders that come in.
func (r *run) forkMapper(later [2]sys.LaterMapping) error {
	theirOrders, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	replies, theirReplies, err := os.Pipe()
	if err != nil {
		return err
	}
	r.onEnd(func() {
		for _, f := range []*os.File{theirOrders, orders, replies, theirReplies} {
			f.Close()
		}
	})
	pid, err := sys.ForkMapper(int(os.Stdin.Fd()), int(theirOrders.Fd()), int(theirReplies.Fd()), later)
	if err != nil {
		return cannot("fork", err)
	}
	r.onEnd(func() { kill(pid) })
	r.report.PIDs = append(r.report.PIDs, pid)
	r.report.PID = pid
	r.lines = make(chan string)
	r.serve = func(ctx context.Context) error { return r.goOn(ctx, orders, replies) }
	return nil
}

func (r *run) goOn(ctx context.Context, orders io.Writer, replies io.Reader) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-r.lines:
			if line != TriggerGo {
				return fmt.Errorf("%w: %q on standard input; there is only %q", errUsage, line, TriggerGo)
			}
		}
		if _, err := orders.Write([]byte{1}); err != nil {
			return err
		}
		var reply [2]uint64
		if err := binary.Read(replies, binary.NativeEndian, &reply); err != nil {
			return fmt.Errorf("reply of the copy: %w", err)
		}
		if err := r.further(reply); err != nil {
			return err
		}
		if err := r.say(); err != nil {
			return err
		}
	}
}

// further adds what the copy has mapped to the report.
func (r *run) further(reply [2]uint64) error {
	for i, what := range [2]string{"further library", "further memory"} {
		addr := reply[i]
		if addr == 0 {
			continue
		}
		if -addr < 4096 { // MAX_ERRNO
			return fmt.Errorf("mmap of %s: %w", what, syscall.Errno(-addr))
		}
		end := addr + uint64([2]int{furtherLibrary, furtherMemory}[i]*pageSize)
		r.report.Ranges = append(r.report.Ranges, Range{PID: r.report.PID, Start: Addr(addr), End: Addr(end), What: what})
	}
	return nil
}
