package vma

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/safevma/safevma/kernel/process"
)

// Rollup reads /proc/PID/smaps_rollup: the sum over all VMAs, in bytes. Sizes of
// pages and protection keys have no sum and are 0.
func (r *Reader) Rollup(p *process.Process) (sum Mem, err error) {
	err = withMemory(p, "smaps_rollup", func(f *os.File) error {
		text, err := io.ReadAll(f)
		if errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("%s: %w", p.Path(f.Name()), ErrNoAddressSpace)
		}
		if err != nil {
			return p.Wrap(f.Name(), err)
		}
		if sum, err = parseRollup(text); err != nil {
			return p.Wrap(f.Name(), err)
		}
		return nil
	})
	return sum, err
}

// parseRollup parses a header and the fields below it.
func parseRollup(text []byte) (Mem, error) {
	if !bytes.HasSuffix(text, []byte{'\n'}) {
		return Mem{}, fmt.Errorf("%w: cut off", process.ErrMalformed)
	}
	var v VMA
	n, problem := parseHeader(text, &v)
	if problem != "" {
		return Mem{}, malformed(text, problem)
	}
	for line := range bytes.Lines(text[n+1:]) {
		if err := parseField(line[:len(line)-1], &v); err != nil {
			return Mem{}, err
		}
	}
	return v.Mem, nil
}
