package structures

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/medium"
)

// BitLog is a log of numbers. A bit says that a record is valid.
//
//	0     valid bits, one word
//	64    records of 64 bytes: the number, and its square beside it
type BitLog struct {
	// OneFence is the bug: the record and its bit become durable by one fence, in any order.
	OneFence bool

	m    *medium.Medium
	bits uint64
	n    int64
}

// BitLogRecords is how many records fit.
const BitLogRecords = 60

var errFull = errors.New("full")

// OpenBitLog opens a log, or an empty medium.
func OpenBitLog(m *medium.Medium) (*BitLog, error) {
	l := &BitLog{m: m}
	if err := load8s(m, 0, &l.bits); err != nil {
		return nil, err
	}
	for l.bits>>l.n&1 != 0 {
		l.n++
	}
	return l, nil
}

// Append adds a number. It is durable when Append returns.
func (l *BitLog) Append(v uint64) error {
	if l.n == BitLogRecords {
		return errFull
	}
	at := 64 + l.n*64
	err := errors.Join(l.m.Store8(at, v, class), l.m.Store8(at+8, v*v, class))
	if !l.OneFence {
		err = errors.Join(err, l.m.Persist(at, 16))
	}
	if err := errors.Join(err, l.m.Store8(0, l.bits|1<<l.n, class), l.m.Persist(0, at+16)); err != nil {
		return err
	}
	l.bits |= 1 << l.n
	l.n++
	return nil
}

// Records returns the log as text.
func (l *BitLog) Records() (string, error) {
	text := ""
	for i := range l.n {
		var v, square uint64
		if err := load8s(l.m, 64+i*64, &v, &square); err != nil {
			return "", err
		}
		text += fmt.Sprintf("%d²=%d ", v, square)
	}
	return text, nil
}
