package code_test

import (
	"errors"
	"fmt"

	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/code"
)

// Two programs in one page; more can come until the arena is sealed.
func Example() {
	a, err := code.New(64 << 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	machine := []byte{0x48, 0x8d, 0x47, 0x01, 0xc3} // amd64: lea rax, [rdi+1]; ret
	for range 2 {
		p, err := a.Add(len(machine), func(to []byte, entry uintptr) error {
			copy(to, machine) // entry is where it will execute, for relative jumps out of it
			return nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Len(), "bytes,", p.Entry()%64)
	}
	fmt.Println(a.Publish(), a.Stats().Used)
	if err := a.Seal(); err != nil && !errors.Is(err, region.ErrUnsupported) {
		fmt.Println(err)
	}
	// Output:
	// 5 bytes, 0
	// 5 bytes, 0
	// <nil> 128
}
