package crash_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/crash/state"
	"github.com/safevma/safevma/pmem/medium"
)

// Account is two balances, a line apart, and which of two copies of them is valid.
type Account struct {
	m    *medium.Medium
	turn uint64
}

const copyLen = 128

// OpenAccount opens the balances, or an empty medium.
func OpenAccount(m *medium.Medium) (*Account, error) {
	turn, err := m.Load8(0)
	return &Account{m, turn}, err
}

// Balances returns both.
func (a *Account) Balances() (string, error) {
	at := 64 + int64(a.turn)*copyLen
	x, err := a.m.Load8(at)
	y, err2 := a.m.Load8(at + 64)
	return fmt.Sprintf("%d + %d", x, y), errors.Join(err, err2)
}

// Set changes both: it writes the copy that is not valid, and changes over.
func (a *Account) Set(x, y uint64) error {
	next := 1 - a.turn
	at := 64 + int64(next)*copyLen
	err := errors.Join(
		a.m.Store8(at, x, medium.Unclassed),
		a.m.Store8(at+64, y, medium.Unclassed),
		a.m.Persist(at, 72),
		a.m.StorePersist8(0, next, medium.Unclassed),
	)
	if err == nil {
		a.turn = next
	}
	return err
}

// SetUnflushed forgets that the second balance stands in another line.
func (a *Account) SetUnflushed(x, y uint64) error {
	next := 1 - a.turn
	at := 64 + int64(next)*copyLen
	a.turn = next
	return errors.Join(
		a.m.Store8(at, x, medium.Unclassed),
		a.m.Store8(at+64, y, medium.Unclassed),
		a.m.Persist(at, 8),
		a.m.StorePersist8(0, next, medium.Unclassed),
	)
}

// account is the workload: what a test hands to crash.Run.
func account(set func(*Account, uint64, uint64) error) crash.Workload[*Account] {
	open := func(e *crash.Env) (*Account, error) { return OpenAccount(e.Medium) }
	return crash.Workload[*Account]{
		Size: 4096, Create: open, Recover: open, Dump: (*Account).Balances,
		Run: func(o *crash.Ops[*Account]) error {
			for i := range uint64(3) {
				if err := o.Do("set", func(a *Account) error { return set(a, 100-i, i) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// A structure that survives every failure: all that may be left was recovered and checked.
func ExampleExplore() {
	report, err := crash.Explore(context.Background(), crash.Config{}, account((*Account).Set))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Verdict)
	for _, m := range report.Models {
		fmt.Printf("%v: %s of %s images\n", m.Model, m.ImagesChecked, m.Images)
	}
	// Output:
	// holds
	// kill: 9 of 9 images
	// adr: 11 of 11 images
	// eadr: 9 of 9 images
}

// One that does not, and the line that was lost.
func ExampleFailure() {
	cfg := crash.Config{Models: []state.Model{crash.ADR}}
	_, err := crash.Explore(context.Background(), cfg, account((*Account).SetUnflushed))
	var f *crash.Failure
	if !errors.As(err, &f) {
		fmt.Println("not found:", err)
		return
	}
	fmt.Println(f.Message)
	for _, p := range f.Parts {
		fmt.Printf("bytes %d..%d: %d stores durable, %d lost\n", p.Off, p.Off+int64(p.Len), len(p.There), len(p.Lost))
	}
	// Output:
	// the recovered state is none that the history allows:
	//   recovered: 99 + 0
	//   allowed:   100 + 0
	//           or 99 + 1
	// bytes 0..8: 1 stores durable, 0 lost
	// bytes 128..136: 0 stores durable, 1 lost
}
