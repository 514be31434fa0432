package borrowstore

import (
	"fmt"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// Summary says what a function does with what its parameters point to. Parameters count
// from 0; of a method, 0 is the receiver.
type Summary struct {
	Stores   []int    // parameters that it stores through
	Keeps    []int    // parameters that it keeps beyond its return
	Passes   [][2]int // {parameter, result}: the result may point where the parameter does
	Borrowed []int    // results that point into borrowed memory
}

// AFact makes a Summary a fact, so that it reaches packages that call the function.
func (*Summary) AFact() {}

func (s *Summary) String() string {
	return fmt.Sprintf("stores %v keeps %v passes %v borrowed %v", s.Stores, s.Keeps, s.Passes, s.Borrowed)
}

func (s *Summary) empty() bool {
	return len(s.Stores) == 0 && len(s.Keeps) == 0 && len(s.Passes) == 0 && len(s.Borrowed) == 0
}

// add appends what is new, and reports whether it was.
func add[E comparable](list *[]E, e E) bool {
	if slices.Contains(*list, e) {
		return false
	}
	*list = append(*list, e)
	return true
}

// object returns the declared function behind a call's target: of an instance its generic
// function, of a wrapper the method.
func object(f *ssa.Function) *types.Func {
	obj, ok := f.Object().(*types.Func)
	if !ok {
		return nil
	}
	return obj.Origin()
}

// summary returns what is known of a function; of an unknown one, that it does nothing.
func (a *analyzed) summary(obj *types.Func) *Summary {
	if s := a.summaries[obj]; s != nil {
		return s
	}
	if s := known(obj); s != nil {
		return s
	}
	s := new(Summary)
	if obj.Pkg() != nil && obj.Pkg() != a.pass.Pkg {
		a.pass.ImportObjectFact(obj, s)
	}
	return s
}
