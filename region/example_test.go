package region_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

// A key in memory with guarantees, which are then verified from the kernel's side.
func Example() {
	r, err := region.Map(32, region.Resident(), region.Guarded(), region.NoDump(), region.NoFork())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	copy(r.Bytes(), "correct horse battery staple")
	verdicts, err := r.Verify()
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Status != guarantee.Holds {
			fmt.Println(v.Requirement, v.Status, v.Message, v.Observation.Raw)
		}
	}
	fmt.Println(r.Guarantees())
	// Output: [Resident Guarded NoDump NoFork NoSwap]
}

// Where a machine can't give a guarantee, Map says which one, and the program decides.
func ExampleSecret() {
	r, err := region.Map(28, region.Secret(), region.Guarded())
	if errors.Is(err, region.ErrUnsupported) {
		// Good enough for this program, which says so to its user.
		r, err = region.Map(28, region.Resident(), region.Guarded(), region.NoDump(), region.NoFork())
	}
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	copy(r.Bytes(), "correct horse battery staple")
	fmt.Printf("%x\n", sha256.Sum256(r.Bytes()))
	// Output: c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a
}

// All pages are there before Map returns, and stay: no access waits for a page.
func ExampleResident() {
	r, err := region.Map(1<<20, region.Resident())
	if errors.Is(err, region.ErrLimit) { // RLIMIT_MEMLOCK
		r, err = region.Map(64<<10, region.Resident())
	}
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(r.Guarantees())
	// Output: [Resident NoSwap]
}

// Memory that is committed as it is used, of which there is never more than was declared.
func ExampleOnUse() {
	budget, err := region.NewBudget(1 << 20)
	if err != nil {
		log.Fatal(err) // this machine has not as much
	}
	r, err := region.Map(1<<20, region.OnUse(budget))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	_, err = region.Map(1, region.OnUse(budget))
	fmt.Println(budget.Used(), errors.Is(err, region.ErrLimit))
	// Output: 1048576 true
}

// A write past the end faults at once, or is found by its canary.
func ExampleGuarded() {
	r, err := region.Map(100, region.Guarded())
	if err != nil {
		log.Fatal(err)
	}
	copy(r.Bytes(), "within bounds")
	fmt.Println(r.Check(), r.Close())
	// Output: <nil> <nil>
}

// The mapping can't be changed by anyone any more. When the region is closed, the next one of
// its kind gets the memory.
func ExampleSealed() {
	for range 3 {
		r, err := region.Map(4096, region.Sealed(), region.Guarded())
		if errors.Is(err, region.ErrUnsupported) { // before Linux 6.10
			r, err = region.Map(4096, region.Guarded())
		}
		if err != nil {
			log.Fatal(err)
		}
		copy(r.Bytes(), "arena")
		if err := r.Close(); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("closed")
	// Output: closed
}

// A table that nobody can change, not even through /proc/self/mem.
func ExampleReadOnly() {
	table := func(b []byte) error { copy(b, "alice:1000\nbob:1001\n"); return nil }
	r, err := region.Map(20, region.ReadOnly(table), region.Guarded())
	if errors.Is(err, region.ErrUnsupported) { // before Linux 6.10
		r, err = region.Map(20, region.Guarded())
		if err == nil {
			err = r.Write(table)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(bytes.Contains(r.Bytes(), []byte("bob:1001")))
	// Output: true
}

// As ReadOnly, for tables that are replaced: Close gives the memory back.
func ExampleReadOnlyUntilClose() {
	for _, version := range []string{"one", "two"} {
		r, err := region.Map(3, region.ReadOnlyUntilClose(func(b []byte) error { copy(b, version); return nil }))
		if errors.Is(err, region.ErrUnsupported) { // before Linux 6.7
			fmt.Println(version)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", r.Bytes())
		if err := r.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// one
	// two
}

// Closed by default: a stray pointer faults outside of Read and Write.
func ExampleWindowed() {
	r, err := region.Map(5, region.Windowed())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	if err := r.Write(func(b []byte) error { copy(b, "hello"); return nil }); err != nil {
		log.Fatal(err)
	}
	if err := r.Read(func(b []byte) error { fmt.Printf("%s\n", b); return nil }); err != nil {
		log.Fatal(err)
	}
	w := r.Windows()
	fmt.Println(r.Bytes() == nil, w.Reads, w.Writes, w.Longest > 0)
	// Output:
	// hello
	// true 1 1 true
}

// Out of core dumps and swap, away from children, never shared with equal pages, not executable:
// for data that must be nowhere else.
func ExampleNoDump() {
	r, err := region.Map(100, region.NoDump(), region.NoSwap(), region.NoFork(), region.NoMerge(), region.NoExec())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(broken(r), "broken")
	// Output: 0 broken
}

// A child process does not have the memory: an access to it there faults.
func ExampleNoFork() {
	r, err := region.Map(100, region.NoFork())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(broken(r), "broken") // Verify forks a child that tries
	// Output: 0 broken
}

// A child process finds zeroes: for the state of a random number generator, which must not go on
// in two processes.
func ExampleWipeOnFork() {
	r, err := region.Map(32, region.WipeOnFork())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	copy(r.Bytes(), "seed")
	fmt.Println(broken(r), "broken")
	// Output: 0 broken
}

// Data that no mapping can execute.
func ExampleNoExec() {
	r, err := region.Map(4096, region.NoExec())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(broken(r), "broken")
	// Output: 0 broken
}

// Not merged with equal pages of others, from whose timing they could tell that there is one.
func ExampleNoMerge() {
	r, err := region.Map(4096, region.NoMerge())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(broken(r), "broken")
	// Output: 0 broken
}

// Locked as it is touched: big, and little of it used.
func ExampleNoSwap() {
	r, err := region.Map(32<<10, region.NoSwap())
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	fmt.Println(broken(r), "broken")
	// Output: 0 broken
}

// broken counts what does not hold of what a region promises.
func broken(r *region.Region) (n int) {
	verdicts, err := r.Verify()
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range verdicts {
		if v.Status == guarantee.Broken {
			n++
		}
	}
	return n
}
