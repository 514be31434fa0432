package pool

import (
	"bytes"
	"fmt"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/pmem"
)

// CRC measures transactions as Transactions does, and which part of their time goes into the
// CRCs of objects: the pool has no switch for them, so a profile tells. Measure "on" is all of
// it, "off" is the rest.
func CRC(folder string, lines, ops int, o pmem.Options) (result Result, err error) {
	return result, within(folder, poolSize, o, func(p *pmem.Pool) error {
		c, err := newChanger(p, lines)
		if err == nil {
			err = c.changes(ops / 10)
		}
		if err != nil {
			return err
		}
		var clock measure.Clock
		share, samples, err := profiled(func() error {
			clock.Start()
			defer clock.Stop()
			return c.changes(ops)
		})
		on := clock.Measure("on", ops)
		off := on
		off.Name = "off"
		off.CPU -= time.Duration(share * float64(on.CPU))
		off.Wall -= time.Duration(share * float64(on.Wall))
		result.Measures = []measure.Measure{on, off}
		result.Notes = []string{fmt.Sprintf("%d samples a round", samples)}
		return err
	})
}

// profiled runs something and returns which part of its CPU time went into CRCs of objects.
func profiled(run func() error) (share float64, samples int64, err error) {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return 0, 0, err
	}
	err = run()
	pprof.StopCPUProfile()
	if err != nil {
		return 0, 0, err
	}
	p, err := profile.Parse(&out)
	if err != nil {
		return 0, 0, err
	}
	var part int64
	for _, s := range p.Sample {
		samples += s.Value[0]
		if objectCRC(s) {
			part += s.Value[0]
		}
	}
	return float64(part) / float64(max(samples, 1)), samples, nil
}

// ofRecords are the files of package pmem from which the CRC of a record is computed; that one
// is always on. What is in no file here counts as an object's.
var ofRecords = []string{"append.go", "assign.go", "commit.go", "log.go", "record.go", "tail.go"}

// objectCRC says whether a sample is in the CRC of an object: in a CRC, and called from
// package pmem where it deals with objects.
func objectCRC(s *profile.Sample) bool {
	in := false
	for _, l := range s.Location { // from the leaf on
		for _, line := range l.Line { // from what was inlined on
			name := line.Function.Name
			switch {
			case strings.HasPrefix(name, "hash/crc32."):
				in = true
			case in && strings.HasSuffix(name, "pmem.checksum"), in && strings.HasSuffix(name, "pmem.updateCRC"):
			case in:
				return !slices.Contains(ofRecords, filepath.Base(line.Function.Filename))
			}
		}
	}
	return false
}
