package model

import (
	"errors"
	"fmt"
	"strings"
)

// root returns what reaches object i: word i, or the bitmap where there are no words.
func (p *Pool) root(i int) (uint64, error) {
	if p.Words > 0 {
		return p.get(wordOffset(i))
	}
	allocated, err := p.allocated(i)
	if allocated {
		return 1, err
	}
	return 0, err
}

// Dump shows words and objects, as a user sees them.
func (p *Pool) Dump() (string, error) {
	var b strings.Builder
	for i := range max(p.Words, p.Objects) {
		v, err := p.root(i)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%d ", v)
		if i >= p.Objects || v == 0 {
			continue
		}
		w, err := p.Lookup(i, v)
		if err != nil && !errors.Is(err, ErrStale) {
			return "", err
		}
		fmt.Fprintf(&b, "%v ", w)
	}
	return b.String(), nil
}

// Check holds the bitmap against reachability: no leak, and no use of what is free or erased.
func (p *Pool) Check() error {
	if p.Objects == 0 {
		return nil
	}
	if open, err := p.m.Load8(intentsOffset); err != nil || open != 0 {
		return errors.Join(err, fmt.Errorf("erase intents %b are open", open))
	}
	for i := range p.Objects {
		if err := p.checkObject(i); err != nil {
			return err
		}
	}
	return nil
}

// checkObject: the model's objects begin with a word that is not zero.
func (p *Pool) checkObject(i int) error {
	v, err := p.root(i)
	if err != nil {
		return err
	}
	allocated, err := p.allocated(i)
	if err != nil {
		return err
	}
	if allocated != (v != 0) {
		return fmt.Errorf("object %d: allocated %v, reachable %v", i, allocated, v != 0)
	}
	if !allocated {
		return nil
	}
	w, err := p.Lookup(i, v)
	if err == nil && w[0] == 0 {
		err = fmt.Errorf("object %d is allocated, and was scrubbed", i)
	}
	return err
}
