// Command key keeps a key in memory that is outside the kernel's linear map, locked, between guards and never
// dumped, and shows what the kernel says of that.
//
//	go run ./examples/key FILE
//
// The content of the file goes straight into the region: no copy of it is made on the Go heap.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/safevma/safevma/region"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: key FILE")
		os.Exit(2)
	}
	if err := show(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "key:", err)
		os.Exit(1)
	}
}

// most is how long a key may be, in bytes.
const most = 4096

func show(file string) (err error) {
	r, err := read(file, region.Secret(), region.Resident(), region.Guarded(), region.NoDump(), region.NoFork())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	verdicts, err := r.Verify()
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		fmt.Printf("%-8s %s  %s\n", v.Status, v.Requirement, v.Message)
	}
	return nil
}

// read reads a key. Where there is no secret memory, it says so and goes on with locked memory.
func read(file string, options ...region.Option) (*region.Region, error) {
	r, err := region.ReadFile(file, most, options...)
	if errors.Is(err, region.ErrUnsupported) {
		fmt.Fprintln(os.Stderr, "key: without the first guarantee:", err)
		return region.ReadFile(file, most, options[1:]...)
	}
	return r, err
}
