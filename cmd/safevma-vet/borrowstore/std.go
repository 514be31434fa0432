package borrowstore

import (
	"go/types"
	"slices"
	"strings"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// stores names functions of the standard library that store through a parameter, which
// counts from 0 and of a method from the receiver.
var stores = map[string]int{
	"encoding/binary.Encode": 0, "encoding/binary.PutUvarint": 0, "encoding/binary.PutVarint": 0,
	"encoding/binary.Decode": 2, "encoding/binary.Read": 2,
	"encoding/hex.Encode": 0, "encoding/hex.Decode": 0, "encoding/json.Unmarshal": 1,
	"(*encoding/base64.Encoding).Encode": 1, "(*encoding/base64.Encoding).Decode": 1,
	"slices.Sort": 0, "slices.SortFunc": 0, "slices.SortStableFunc": 0, "slices.Reverse": 0,
	"slices.Delete": 0, "slices.DeleteFunc": 0, "slices.Insert": 0, "slices.Replace": 0,
	"slices.Compact": 0, "slices.CompactFunc": 0,
	"sort.Slice": 0, "sort.SliceStable": 0, "sort.Ints": 0, "sort.Float64s": 0,
	"io.ReadFull": 1, "io.ReadAtLeast": 1,
	"crypto/rand.Read": 0, "math/rand.Read": 0,
	"crypto/subtle.XORBytes": 0, "crypto/subtle.ConstantTimeCopy": 1,
}

// passing names functions whose result points where their first parameter does.
var passing = []string{
	"slices.Clip", "slices.Grow", "slices.Delete", "slices.Insert", "slices.Compact",
	"bytes.Trim", "bytes.TrimLeft", "bytes.TrimRight", "bytes.TrimSpace", "bytes.TrimPrefix",
	"bytes.TrimSuffix", "bytes.TrimFunc", "bytes.Clip",
}

// known returns what is known of functions of pmem and of the standard library by name.
func known(f *types.Func) *Summary {
	if f.Pkg() == nil {
		return nil
	}
	switch {
	case pool.Is(f, "Borrow", "BorrowBytes"):
		return &Summary{Borrowed: []int{0}}
	case pool.Is(f, "AppendBytes"):
		return &Summary{Stores: []int{2}, Passes: [][2]int{{2, 0}}}
	case pool.Is(f, "ReadBytes"):
		return &Summary{Stores: []int{3}}
	case f.Pkg().Path() == "sync/atomic" && atomicStore(f.Name()):
		return &Summary{Stores: []int{0}}
	case reads(f):
		return &Summary{Stores: []int{1}}
	}
	name := f.FullName()
	s := new(Summary)
	if p, ok := stores[name]; ok {
		s.Stores = []int{p}
	}
	if strings.HasPrefix(name, "(encoding/binary.") && (strings.HasPrefix(f.Name(), "Put") || strings.HasPrefix(f.Name(), "Append")) {
		s.Stores = []int{1}
	}
	if slices.Contains(passing, name) {
		s.Passes = [][2]int{{0, 0}}
	}
	if s.empty() {
		return nil
	}
	return s
}

// atomicStore: of functions the first parameter is stored through, of methods the receiver.
func atomicStore(name string) bool {
	for _, verb := range []string{"Store", "Add", "Swap", "CompareAndSwap", "And", "Or"} {
		if strings.HasPrefix(name, verb) {
			return true
		}
	}
	return false
}

// reads reports whether f is a method that fills its first parameter, as io.Reader and
// io.ReaderAt have it.
func reads(f *types.Func) bool {
	sig := f.Signature()
	if sig.Recv() == nil || f.Name() != "Read" && f.Name() != "ReadAt" || sig.Params().Len() == 0 || sig.Results().Len() != 2 {
		return false
	}
	return types.Identical(sig.Params().At(0).Type(), types.NewSlice(types.Typ[types.Byte]))
}

// runsElsewhere reports whether f runs the function that it is given in another goroutine.
func runsElsewhere(f *types.Func) bool {
	switch f.FullName() {
	case "(*sync.WaitGroup).Go", "(*golang.org/x/sync/errgroup.Group).Go", "(*golang.org/x/sync/errgroup.Group).TryGo", "time.AfterFunc":
		return true
	}
	return false
}
