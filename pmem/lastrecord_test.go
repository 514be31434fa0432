package pmem

import (
	"errors"
	"testing"
)

// lastRecord makes a pool with one more record, of which the caller is told where it begins.
func lastRecord(t *testing.T, record func(p *Pool) error) (memory []byte, place int64) {
	t.Helper()
	memory = make([]byte, 40*8192)
	p, err := openSlow(memory, &injector{}, CreateOn)
	if err != nil {
		t.Fatal(err)
	}
	update(t, p, func(tx *Tx) error { _, err := Alloc(tx, node{}); return err })
	place = p.logPlace(p.head.at)
	if err := record(p); err != nil {
		t.Fatal(err)
	}
	return memory, place
}

// A record that is whole, and says what can't be, is damage: nothing of it is done.
func TestRecordOfTheLog(t *testing.T) {
	memory, _ := lastRecord(t, func(p *Pool) error {
		c := &committer{record: appendRun(make([]byte, headerSize), logOffset+p.log-word, make([]byte, word)), frees: true}
		c.sum = updateCRC(0, c.record[headerSize:])
		return p.append(c)
	})
	if _, err := openSlow(memory, &injector{}, OpenOn); !errors.Is(err, ErrDamage) {
		t.Errorf("a record that changes the log itself: %v", err)
	}
}

// A last record with another sequence or generation in its header is missed, and that is said.
func TestLastRecordOfAnother(t *testing.T) {
	for what, at := range map[string]int64{"generation": 8, "sequence": 16} {
		memory, place := lastRecord(t, func(p *Pool) error {
			return p.Update(ctx, func(tx *Tx) error { _, err := Alloc(tx, node{}); return err })
		})
		clear(memory[place+at:][:word])
		if p, err := openSlow(memory, &injector{}, OpenOn); err != nil || !p.recovery.Torn {
			t.Errorf("without its %s: %v, and the log is whole", what, err)
		}
	}
}
