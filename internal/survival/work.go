package survival

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/safevma/safevma/pmem"
)

// Config says how a process works.
type Config struct {
	File string
	Seed uint64
	// EarlyAcknowledgement is the control: the process acknowledges before Update returns.
	EarlyAcknowledgement bool
	// AssumeDAX takes tmpfs for persistent memory.
	AssumeDAX bool
	// Medium is the kind that it has to be.
	Medium string
	// Progress is checked before it begins, unless it is nil.
	Progress *Progress
	// CheckOnly ends it then.
	CheckOnly bool
}

var errAbort = errors.New("the function changed its mind")

// work is a workload that runs.
type work struct {
	Config
	pool   *pmem.Pool
	ledger ledger
	report io.Writer
	begin  [Workers]uint64
}

// newWork makes what is missing.
func newWork(ctx context.Context, p *pmem.Pool, c Config, report io.Writer) (*work, error) {
	w := &work{Config: c, pool: p, report: report}
	err := p.Update(ctx, func(tx *pmem.Tx) (err error) {
		if w.ledger, err = found(tx); err != nil {
			return err
		}
		for i, ref := range w.ledger.Counters {
			c, err := pmem.Get(tx, ref)
			if err != nil {
				return err
			}
			w.begin[i] = c.Count
		}
		return nil
	})
	return w, err
}

// run works until the context ends, or a worker fails.
func (w *work) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	for i := range Workers {
		all.Go(func() { stop(w.worker(ctx, i)) })
	}
	all.Wait()
	return context.Cause(ctx)
}

// say writes one event: by one write, so that a kill does not mix them.
func (w *work) say(event byte, worker int, n uint64) error {
	_, err := fmt.Fprintf(w.report, "%c%d %d\n", event, worker, n)
	return err
}

// worker makes transactions. Its counter follows what it has made.
func (w *work) worker(ctx context.Context, id int) error {
	random := rand.New(rand.NewPCG(w.Seed, uint64(id)))
	for n := w.begin[id]; ; {
		if random.IntN(8) == 0 {
			if err := w.look(ctx, random); err != nil {
				return fmt.Errorf("worker %d looks: %w", id, err)
			}
		}
		err := w.transact(ctx, id, n+1, random)
		switch {
		case err == nil:
			n++
		case !errors.Is(err, errAbort) && !errors.Is(err, pmem.ErrFull) && !errors.Is(err, pmem.ErrTooBig):
			return fmt.Errorf("worker %d: %w", id, err)
		}
	}
}

func (w *work) transact(ctx context.Context, id int, n uint64, random *rand.Rand) error {
	if err := w.say(eventStarted, id, n); err != nil {
		return err
	}
	if w.EarlyAcknowledgement {
		if err := w.say(eventAcknowledged, id, n); err != nil {
			return err
		}
	}
	err := w.pool.Update(ctx, func(tx *pmem.Tx) error { return w.transaction(tx, id, n, random) })
	if err != nil {
		return err
	}
	return w.say(eventAcknowledged, id, n)
}

func (w *work) transaction(tx *pmem.Tx, id int, n uint64, random *rand.Rand) error {
	for range 1 + random.IntN(3) {
		if err := steps[random.IntN(len(steps))](&w.ledger, tx, random); err != nil {
			return err
		}
	}
	if random.IntN(16) == 0 {
		return errAbort
	}
	return w.ledger.raise(tx, id, n)
}

// look checks, while others work, what has to hold at any time.
func (w *work) look(ctx context.Context, random *rand.Rand) error {
	i := random.IntN(shelves)
	return w.pool.View(ctx, func(tx *pmem.Tx) error {
		if err := w.ledger.checkMoney(tx); err != nil {
			return err
		}
		return w.ledger.checkShelf(tx, i, new(Report))
	})
}
