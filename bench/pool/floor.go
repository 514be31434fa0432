// Package pool has the contenders of safevma: pools of package pmem, and what is below them.
package pool

import (
	"errors"
	"path/filepath"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem/medium"
)

const logSize = 1 << 20

// Floor measures what one commit costs at least: a record of size bytes appended to a log,
// durable on return, and nothing else.
func Floor(folder, name string, size, ops int, o medium.Options) (Result, error) {
	m, err := written(filepath.Join(folder, "floor"), o)
	if err != nil {
		return Result{}, err
	}
	var clock measure.Clock
	record := make([]byte, size)
	clock.Start()
	for i := range ops {
		record[0]++
		off := i * size % (logSize - size) &^ (medium.Word - 1)
		if err := m.Write(int64(off), record, medium.Log); err != nil {
			return Result{}, errors.Join(err, m.Close())
		}
	}
	clock.Stop()
	return Result{Measures: []measure.Measure{clock.Measure(name, ops)}, Notes: []string{instructions(m.Info())}}, m.Close()
}

// written is a file all of which was written, and not only allocated.
func written(name string, o medium.Options) (*medium.Medium, error) {
	m, err := medium.Create(name, logSize, o)
	if err != nil {
		return nil, err
	}
	ones := make([]byte, logSize)
	for i := range ones {
		ones[i] = 1
	}
	err = errors.Join(m.Store(0, ones, medium.Log), m.SyncFile(), m.Link())
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}
