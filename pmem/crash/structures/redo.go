package structures

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/safevma/safevma/pmem/crash"
	"github.com/safevma/safevma/pmem/medium"
)

// Redo is an array of words behind a redo log: a record with a checksum is appended with
// non-temporal stores and one fence, and that is the commit. The word itself is stored
// lazily, and is flushed with all others at a checkpoint. Between checkpoints many lines are
// dirty, so that a failure leaves one of very many images; recovery, which replays the log
// over them, depends on few of their bytes.
//
//	0     sequence of the last checkpoint
//	64    records of 64 bytes: sequence, index, value, CRC32C of those
//	4096  words, 64 bytes apart
type Redo struct {
	// NoChecksum is a bug: a record counts when its sequence is right.
	NoChecksum bool

	m          *medium.Medium
	seq        uint64
	checkpoint uint64
	dirty      map[uint64]bool
}

const (
	redoWords  = 4096
	redoRecord = 64
	// RedoRecords is how many records fit between checkpoints.
	RedoRecords = 60
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// OpenRedo opens the array, or an empty medium, and replays its log.
func OpenRedo(m *medium.Medium, noChecksum bool) (*Redo, error) {
	r := &Redo{NoChecksum: noChecksum, m: m, dirty: map[uint64]bool{}}
	if err := load8s(m, 0, &r.checkpoint); err != nil {
		return nil, err
	}
	r.seq = r.checkpoint
	for r.seq-r.checkpoint < RedoRecords {
		index, value, ok, err := r.record(r.seq + 1)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		r.seq++
		if err := r.apply(index, value); err != nil {
			return nil, err
		}
	}
	if r.seq == r.checkpoint {
		return r, nil
	}
	return r, r.Checkpoint()
}

func (r *Redo) recordOff(seq uint64) int64 { return redoRecord * int64(seq-r.checkpoint) }

// record reads one of the log.
func (r *Redo) record(seq uint64) (index, value uint64, ok bool, err error) {
	var raw [32]byte
	if err := r.m.Read(r.recordOff(seq), raw[:]); err != nil {
		return 0, 0, false, err
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(raw[8*i:]) }
	sum := uint64(crc32.Checksum(raw[:24], castagnoli))
	return word(1), word(2), word(0) == seq && (r.NoChecksum || word(3) == sum), nil
}

// Set changes a word. It is durable when Set returns.
func (r *Redo) Set(index, value uint64) error {
	if r.seq-r.checkpoint == RedoRecords {
		if err := r.Checkpoint(); err != nil {
			return err
		}
	}
	var raw []byte
	for _, v := range []uint64{r.seq + 1, index, value} {
		raw = binary.LittleEndian.AppendUint64(raw, v)
	}
	raw = binary.LittleEndian.AppendUint64(raw, uint64(crc32.Checksum(raw, castagnoli)))
	if err := r.m.Write(r.recordOff(r.seq+1), raw, class); err != nil {
		return err
	}
	r.seq++
	return r.apply(index, value)
}

func (r *Redo) apply(index, value uint64) error {
	r.dirty[index] = true
	return r.m.Store8(redoWords+64*int64(index), value, class)
}

// Checkpoint makes the words durable and empties the log.
func (r *Redo) Checkpoint() error {
	var lines []medium.Extent
	for _, index := range slices.Sorted(maps.Keys(r.dirty)) {
		lines = append(lines, medium.Extent{Off: redoWords + 64*int64(index), Len: 8})
	}
	clear(r.dirty)
	err := errors.Join(r.m.PersistAll(lines), r.m.StorePersist8(0, r.seq, class))
	r.checkpoint = r.seq
	return err
}

// Words returns the first n words.
func (r *Redo) Words(n uint64) (string, error) {
	var b strings.Builder
	for i := range n {
		v, err := r.m.Load8(redoWords + 64*int64(i))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d ", v)
	}
	return b.String(), nil
}

// RedoWorkload sets words, so many a checkpoint and so many times, of an array of so many.
func RedoWorkload(words, perCheckpoint, checkpoints uint64, noChecksum bool) crash.Workload[*Redo] {
	open := func(e *crash.Env) (*Redo, error) { return OpenRedo(e.Medium, noChecksum) }
	return crash.Workload[*Redo]{
		Size: 16384, Create: open, Recover: open,
		Dump: func(r *Redo) (string, error) { return r.Words(words) },
		Run: func(o *crash.Ops[*Redo]) error {
			for i := range perCheckpoint * checkpoints {
				if err := o.Do(fmt.Sprint("set ", i), func(r *Redo) error { return r.Set(i*7%words, i+1) }); err != nil {
					return err
				}
				if (i+1)%perCheckpoint == 0 {
					if err := o.Do("checkpoint", (*Redo).Checkpoint); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
}
