package crash

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/safevma/safevma/pmem/crash/state"
)

// ErrResidue reports erased bytes that a failure may bring back.
var ErrResidue = errors.New("erased bytes may still be on the medium")

// canary is an erased secret, in the pieces that a failure may leave of it.
type canary [][]byte

const pieceLen = state.Word

func newCanary(secret []byte) (canary, error) {
	if len(secret) < pieceLen {
		return nil, fmt.Errorf("a secret of %d bytes is found by chance: %d at least", len(secret), pieceLen)
	}
	var c canary
	for ; len(secret) >= pieceLen; secret = secret[pieceLen:] {
		if len(bytes.Trim(secret[:pieceLen], "\x00")) > 0 {
			c = append(c, bytes.Clone(secret[:pieceLen]))
		}
	}
	if len(c) == 0 {
		return nil, errors.New("a secret of zeros can't be told from nothing")
	}
	return c, nil
}

// find looks for the canary in all images of the cells over a base. A piece spans two cells
// at most.
func (c canary) find(base []byte, cells []*state.Cell) (int64, bool) {
	for _, piece := range c {
		if i := bytes.Index(base, piece); i >= 0 {
			return int64(i), true
		}
		for i, cell := range cells {
			var next *state.Cell
			if i+1 < len(cells) && cells[i+1].Off < cell.Off+int64(cell.Len)+pieceLen {
				next = cells[i+1]
			}
			if off, found := inCells(base, piece, cell, next); found {
				return off, true
			}
		}
	}
	return 0, false
}

// inCells looks at the surroundings of a cell, and of the next one if that is near.
func inCells(base, piece []byte, cell, next *state.Cell) (int64, bool) {
	end := cell.Off + int64(cell.Len)
	versions := []state.Version{{}}
	if next != nil {
		end, versions = next.Off+int64(next.Len), next.Versions
	}
	from, to := max(0, cell.Off-pieceLen+1), min(int64(len(base)), end+pieceLen-1)
	window := bytes.Clone(base[from:to])
	for _, second := range versions {
		if next != nil {
			copy(window[next.Off-from:], second.Data)
		}
		for _, first := range cell.Versions {
			copy(window[cell.Off-from:], first.Data)
			if i := bytes.Index(window, piece); i >= 0 {
				return from + int64(i), true
			}
		}
	}
	return 0, false
}
