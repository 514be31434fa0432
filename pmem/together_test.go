package pmem

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safevma/safevma/pmem/medium"
)

// slowLog is a medium whose log takes its time, so that committers queue. It keeps what is durable
// since the last checkpoint.
type slowLog struct {
	lock    sync.Mutex
	image   []byte
	on      atomic.Bool
	records int
	torn    [][]byte // after a failure in the write of several records, which has lost the first line
}

func (s *slowLog) event(e medium.Event) error {
	if !s.on.Load() || e.Class != medium.Log || len(e.Data) == 0 {
		return nil
	}
	time.Sleep(time.Millisecond)
	s.lock.Lock()
	defer s.lock.Unlock()
	if len(e.Data) > 2*headerSize+line && len(s.torn) < 8 {
		image := bytes.Clone(s.image)
		copy(image[e.Off+line:], e.Data[line:])
		s.torn = append(s.torn, image)
	}
	copy(s.image[e.Off:], e.Data)
	s.records++
	return nil
}

// after returns what a node is when the pool is opened after a failure now.
func (s *slowLog) after(r Ref[node]) (uint64, error) {
	s.lock.Lock()
	image := bytes.Clone(s.image)
	s.lock.Unlock()
	p, err := openSlow(image, &injector{}, OpenOn)
	if err != nil {
		return 0, err
	}
	return valueOf(p, r)
}

func openSlow(image []byte, r medium.Recorder, open func(*medium.Medium, Options) (*Pool, error)) (*Pool, error) {
	m, err := medium.Record(image, medium.Emulation{Kind: medium.DAX}, r)
	if err != nil {
		return nil, err
	}
	return open(m, Options{LogSize: 64 << 10, LogExtent: 8 << 10, SpanSize: 8192, Rand: func() uint64 { return 7 << 32 }})
}

// dropped opens a pool whose last batch is torn, changes a node, and opens it again: what was dropped
// must not come back (R4), although randomness repeats.
func dropped(image []byte, refs []Ref[node]) error {
	p, err := openSlow(image, &injector{}, OpenOn)
	if err != nil {
		return fmt.Errorf("nobody was told that the first record of several was durable: %w", err)
	}
	var want []uint64
	for i, r := range refs {
		v, err := valueOf(p, r)
		if err != nil {
			return err
		}
		if want = append(want, v); i == 0 {
			want[0]++
		}
	}
	if err := increment(p, refs[0]); err != nil {
		return err
	}
	if p, err = openSlow(image, &injector{}, OpenOn); err != nil {
		return err
	}
	for i, r := range refs {
		if v, err := valueOf(p, r); err != nil || v != want[i] {
			return fmt.Errorf("node %d is %d, %v, and was %d", i, v, err, want[i])
		}
	}
	return nil
}

func valueOf(p *Pool, r Ref[node]) (v uint64, err error) {
	err = p.View(ctx, func(tx *Tx) error {
		n, err := Get(tx, r)
		v = n.Value
		return err
	})
	return v, err
}

// Update returns when what it did is durable and in place, also where another one wrote its record.
func TestCommittedTogether(t *testing.T) {
	const goroutines, each = 6, 12
	s := new(slowLog)
	memory := make([]byte, 40*8192)
	p, err := openSlow(memory, &injector{event: s.event}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	var refs [goroutines]Ref[node]
	update(t, p, func(tx *Tx) (err error) {
		for i := range refs {
			if refs[i], err = Alloc(tx, node{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if p, err = openSlow(memory, &injector{event: s.event}, OpenOn); err != nil {
		t.Fatal(err)
	}
	s.image = bytes.Clone(memory)
	s.on.Store(true)
	p.turn.Lock() // so that the first batch has several, where the next opening begins its log
	var all sync.WaitGroup
	for _, r := range refs {
		all.Go(func() {
			for v := range uint64(each) {
				if err := increment(p, r); err != nil {
					t.Error(err)
					return
				}
				now, err := valueOf(p, r)
				if durable, failed := s.after(r); err != nil || failed != nil || now != v+1 || durable != v+1 {
					t.Errorf("%d was acknowledged: in place is %d, %v; durable is %d, %v", v+1, now, err, durable, failed)
					return
				}
			}
		})
	}
	for p.queued.Load() < 2 {
		runtime.Gosched()
	}
	p.turn.Unlock()
	p.pass()
	all.Wait()
	for _, image := range s.torn {
		if err := dropped(image, refs[:]); err != nil {
			t.Fatalf("without the first record of several: %v", err)
		}
	}
	if !t.Failed() && s.records >= goroutines*each {
		t.Errorf("%d transactions, %d records written: none was together with another", goroutines*each, s.records)
	}
}

// Nobody is told of a checkpoint before it is durable (R2): space is written past the log then.
func TestCheckpointIsToldLast(t *testing.T) {
	var p *Pool
	tails := 0
	watch := func(e medium.Event) error {
		if p != nil && e.Class == medium.Superblock {
			if tails++; p.checkpointed.Load() >= p.head.sequence {
				t.Errorf("write %d of the tail to %d: it was said before", tails, p.head.sequence)
			}
		}
		return nil
	}
	created, err := openSlow(make([]byte, 40*8192), &injector{event: watch}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	p = created
	update(t, p, func(tx *Tx) error { _, err := Alloc(tx, node{}); return err })
	if err := p.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if p.checkpointed.Load() != p.head.sequence || tails == 0 {
		t.Errorf("a checkpoint up to %d says %d, after %d writes of the tail", p.head.sequence, p.checkpointed.Load(), tails)
	}
}
