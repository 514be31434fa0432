package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"time"

	"github.com/safevma/safevma/pmem/fsck"
)

// outcome is what a trial saw.
type outcome struct {
	kills               int
	transfers, receipts uint64
}

// trial runs a command that is "bank run", kills it at a random moment, and looks at what is left,
// again and again: the money is all there, so is each transfer that has a receipt, and the checker of
// pools finds nothing.
func trial(ctx context.Context, file string, kills int, command string, args ...string) (o outcome, err error) {
	b, err := openOrCreate(ctx, file)
	if err != nil {
		return o, err
	}
	if err := b.pool.Close(); err != nil {
		return o, err
	}
	for ; o.kills < kills; o.kills++ {
		receipts, err := runAndKill(exec.CommandContext(ctx, command, args...))
		if err != nil {
			return o, err
		}
		s, err := check(ctx, file, receipts)
		if err != nil {
			return o, fmt.Errorf("after kill %d: %w", o.kills+1, err)
		}
		o.transfers = s.transfers
		o.receipts += uint64(receipts.count)
	}
	return o, nil
}

// check opens a bank that was killed.
func check(ctx context.Context, file string, r receipts) (s sums, err error) {
	b, err := open(ctx, file)
	if err != nil {
		return s, err
	}
	defer b.pool.Close()
	if s, err = b.sum(ctx); err != nil {
		return s, err
	}
	if s.money != accounts*deposit {
		return s, fmt.Errorf("there is %d, and there was %d", s.money, accounts*deposit)
	}
	for i, last := range r.last {
		if s.tellers[i] < last {
			return s, fmt.Errorf("teller %d acknowledged transfer %d, and %d are there", i, last, s.tellers[i])
		}
	}
	if err := fsck.Pool(b.pool); err != nil {
		return s, err
	}
	return s, b.pool.Close()
}

// receipts are what a run acknowledged.
type receipts struct {
	count int
	last  [tellers]uint64
}

// runAndKill runs a command, and kills it some time after its first receipt.
func runAndKill(cmd *exec.Cmd) (r receipts, err error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	lines := bufio.NewReader(out)
	err = r.add(lines)
	kill := time.AfterFunc(rand.N(50*time.Millisecond), func() { cmd.Process.Kill() }) // SIGKILL
	defer kill.Stop()
	for err == nil {
		err = r.add(lines) // also what is in the pipe when the process is gone
	}
	if !errors.Is(err, io.EOF) {
		return r, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		return r, fmt.Errorf("it ended before it was killed: %w", err)
	}
	return r, nil
}

// add reads a receipt. One that was cut off by the kill is none.
func (r *receipts) add(lines *bufio.Reader) error {
	line, err := lines.ReadString('\n')
	if err != nil {
		return io.EOF
	}
	var teller int
	var count uint64
	if _, err := fmt.Sscanf(line, "%d %d\n", &teller, &count); err != nil || teller < 0 || teller >= tellers {
		return fmt.Errorf("a receipt %q: %w", line, err)
	}
	r.last[teller] = max(r.last[teller], count)
	r.count++
	return nil
}
