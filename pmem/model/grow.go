package model

import (
	"errors"
	"fmt"
)

const (
	growStep = 4096
	// Grown is how long the medium is after it grew once.
	Grown = Size + growStep
)

var errNotGrown = errors.New("the pool has not grown: no record may name that space")

// Grow makes the pool that long, or longer: the space first, durably, and then a record that says
// so. Without space nothing has changed; after a sync that failed, nobody knows, and the pool is
// opened anew.
func (p *Pool) Grow(size int64) error {
	return p.alone(func() error {
		if has, err := p.m.Load8(sizeOffset); err != nil || int64(has) >= size {
			return err
		}
		if found := p.m.Size(); found >= size && !p.broken(GrowFound) {
			// Whoever made that space did not come to the record: its sync may have failed, and a
			// later one says nothing of it. So the file gets a length that it did not have.
			size = found + growStep
		}
		if err := p.m.Extend(size); err != nil {
			return err
		}
		if p.broken(GrowLogged) {
			return errors.Join(p.commit(change{sizeOffset, uint64(size)}), p.m.SyncFile())
		}
		err := p.m.SyncFile()
		if err != nil && p.broken(GrowRetried) {
			err = p.m.SyncFile()
		}
		if err != nil {
			return err
		}
		return p.commit(change{sizeOffset, uint64(size)})
	})
}

// SetGrown changes the first word of the space behind Size. No record names it before the one
// that changed the size.
func (p *Pool) SetGrown(v uint64) error {
	return p.alone(func() error {
		if size, err := p.m.Load8(sizeOffset); err != nil || size < Grown {
			return errors.Join(err, errNotGrown)
		}
		return p.commit(change{Size, v})
	})
}

// grown returns that word, or nothing while the pool is not that long.
func (p *Pool) grown() (string, error) {
	size, err := p.m.Load8(sizeOffset)
	if err != nil || size == 0 {
		return "", err
	}
	v, err := p.m.Load8(Size)
	return fmt.Sprintf("grown %d ", v), err
}
