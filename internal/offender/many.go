package offender

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// An offender takes about 250 bytes of kernel memory a mapping. Where the limit on
// mappings is so high that reaching it costs more than 64 MiB, it is not reached.
const mostVMAs = 262144

// mapsToSpare is what a Go program may map besides while it runs.
const mapsToSpare = 1000

func manyVMAs(r *run) error {
	limit, err := maxMapCount()
	if err != nil {
		return err
	}
	if limit > mostVMAs {
		return cannot("reach vm.max_map_count", fmt.Errorf("it is %d, and filling it would take too much kernel memory", limit))
	}
	if _, err := r.mixed(limit/100*93, 0); err != nil {
		return err
	}
	count, err := ownMappings()
	if err != nil {
		return err
	}
	r.note("%d mappings, vm.max_map_count %d", count, limit)
	return nil
}

func fewVMAs(r *run) error {
	_, err := r.mixed(100, 0)
	return err
}

func maxMapCount() (int, error) {
	text, err := os.ReadFile("/proc/sys/vm/max_map_count")
	if err != nil {
		return 0, cannot("read the limit", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// mixed makes exactly n adjacent mappings of one page with mixed permissions, of
// which so many are executable, spread evenly. No page is touched and none accounted
// for, so they cost only what the kernel needs to know them.
func (r *run) mixed(n, executable int) ([]byte, error) {
	if n < 1 || n > 1<<30 || executable < 0 || executable > (n+1)/2 {
		return nil, fmt.Errorf("%w: at least one mapping, at most 2^30, and at most every second executable", errUsage)
	}
	limit, err := maxMapCount()
	if err != nil {
		return nil, err
	}
	// Trying would use up what the Go runtime needs to go on.
	if own, err := ownMappings(); err != nil || n > limit-own-mapsToSpare {
		return nil, cannot(fmt.Sprintf("make %d mappings", n), fmt.Errorf("vm.max_map_count is %d, and %d are used; %w", limit, own, errors.Join(syscall.ENOMEM, err)))
	}
	// A page on each side keeps the first and last from merging with what is there.
	all, err := r.keep(n+2, sys.ProtNone, sys.MapPrivate|sys.MapAnonymous|sys.MapNoreserve, nil)
	if err != nil {
		return nil, err
	}
	b := all[pageSize : (n+1)*pageSize]
	r.show(b)
	made := 0
	for i := range n {
		prot := sys.ProtRead
		switch {
		case i%2 == 0 && made < executable && i/2*executable/((n+1)/2) >= made:
			prot = protRX
			made++
		case i%4 == 1:
			prot = protRW
		case i%4 == 3:
			prot = sys.ProtNone
		}
		if i%2 == 1 && i == n-1 && prot == sys.ProtNone {
			prot = protRW // the guard behind is inaccessible, too
		}
		if prot == sys.ProtNone {
			continue
		}
		if err := sys.Mprotect(b[i*pageSize:(i+1)*pageSize], prot); err != nil {
			return nil, cannot(fmt.Sprintf("make mapping %d of %d", i, n), err)
		}
	}
	if made < executable {
		return nil, fmt.Errorf("made %d executable mappings of %d", made, executable)
	}
	return b, nil
}

func vmas(r *run) error {
	n, err := numbers(r.args, 1, 2)
	if err != nil {
		return err
	}
	_, err = r.mixed(n[0], n[1])
	return err
}

func sleepers(r *run) error {
	n, err := numbers(r.args, 2, 3)
	if err != nil {
		return err
	}
	if _, err := r.mixed(n[1], n[2]); err != nil {
		return err
	}
	for range n[0] - 1 {
		if _, err := r.fork(); err != nil {
			return err
		}
	}
	return nil
}

// numbers reads between least and most numbers; those left out are 0.
func numbers(args []string, least, most int) ([]int, error) {
	if len(args) < least || len(args) > most {
		return nil, fmt.Errorf("%w: %d to %d numbers, not %q", errUsage, least, most, args)
	}
	n := make([]int, most)
	for i, arg := range args {
		var err error
		if n[i], err = strconv.Atoi(arg); err != nil || n[i] < 0 {
			return nil, errors.Join(fmt.Errorf("%w: %q is no count", errUsage, arg), err)
		}
	}
	return n, nil
}
