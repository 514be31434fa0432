package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/safevma/safevma/region"
)

// Many goroutines allocate, fill, verify and free, with others that check: no secret is handed
// out twice, nothing is found where nothing was written.
func TestConcurrent(t *testing.T) {
	rounds := 4000
	if testing.Short() {
		rounds = 500
	}
	p := newPool(t, Options{Size: 32 << 10, Most: 64 << 10})
	stop := make(chan struct{})
	var workers, checkers sync.WaitGroup
	checkers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := p.Check(); err != nil {
				t.Error(err)
				return
			}
			p.Stats()
		}
	})
	for w := range 4 {
		workers.Go(func() {
			if err := work(p, byte(w+1), rounds); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	close(stop)
	checkers.Wait()
	if s := p.Stats(); s.Secrets != 0 || s.Withdrawn != 0 {
		t.Errorf("left: %+v", s)
	}
}

func work(p *Pool, tag byte, rounds int) error {
	o := p.Owner(fmt.Sprint(tag), Quota{})
	random := rand.New(rand.NewPCG(uint64(tag), 1))
	var held []Secret
	for range rounds {
		if len(held) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(held))
			if err := verify(held[i], tag); err != nil {
				return err
			}
			if err := held[i].Free(); err != nil {
				return err
			}
			held[i] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		s, err := o.Alloc(1 + random.IntN(1<<(3+random.IntN(10)))%MaxSize)
		if errors.Is(err, ErrFull) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.Write(func(b []byte) error {
			for i := range b {
				if b[i] != 0 {
					return fmt.Errorf("byte %d of a new secret is %#x", i, b[i])
				}
				b[i] = tag
			}
			return nil
		})
		if err != nil {
			return err
		}
		held = append(held, s)
	}
	n, err := o.FreeAll()
	if n != len(held) {
		return fmt.Errorf("freed %d of %d: %w", n, len(held), err)
	}
	return err
}

func verify(s Secret, tag byte) error {
	return s.Read(func(b []byte) error {
		for i := range b {
			if b[i] != tag {
				return fmt.Errorf("byte %d is of %d, not of %d", i, b[i], tag)
			}
		}
		return nil
	})
}

// Of many that free one secret, one does.
func TestFreeOnce(t *testing.T) {
	p := newPool(t, Options{})
	for range 200 {
		s := alloc(t, p, 32)
		var freed [4]error
		var all sync.WaitGroup
		for i := range freed {
			all.Go(func() { freed[i] = s.Free() })
		}
		all.Wait()
		n := 0
		for _, err := range freed {
			if err == nil {
				n++
			} else {
				want(t, err, ErrFreed)
			}
		}
		if n != 1 {
			t.Fatalf("freed %d times", n)
		}
	}
}

// Closing beside all that runs ends each with ErrClosed, and none in unmapped memory.
func TestCloseBeside(t *testing.T) {
	for range 20 {
		p, err := New(Options{Size: 8 << 10})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for {
					s, err := p.Alloc(32)
					if err == nil {
						err = s.Write(func(b []byte) error { b[0] = 1; return nil })
					}
					if err == nil {
						err = s.Free()
					}
					// While it tries to close with a secret in use, others see it closed already.
					if err != nil {
						want(t, err, region.ErrClosed)
						return
					}
				}
			})
		}
		all.Go(func() {
			for p.Check() == nil {
			}
		})
		for err = p.Close(); errors.Is(err, ErrInUse); err = p.Close() {
		}
		if err != nil {
			t.Error(err)
		}
		all.Wait()
	}
}
