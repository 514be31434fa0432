package region

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
)

// Budget is a declared amount of memory, for regions that commit on use ([OnUse]). Its methods
// may be called concurrently.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget declares a budget in bytes. It is refused with [ErrLimit] where this machine has
// not as much memory that is available now (MemAvailable of proc_meminfo(5)); a limit of a cgroup
// is not looked at.
func NewBudget(limit int64) (*Budget, error) {
	refuse := func(reason string, kind, cause error) error {
		return about("budget", onUse, reason, both(kind, cause))
	}
	if limit < 1 {
		return nil, refuse(fmt.Sprintf("%d bytes", limit), ErrSize, nil)
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return nil, refuse("what is available can't be read", ErrUnsupported, err)
	}
	available, ok := memAvailable(text)
	if !ok {
		return nil, refuse("/proc/meminfo has no MemAvailable", ErrUnsupported, nil)
	}
	if limit > available {
		return nil, refuse(fmt.Sprintf("%d bytes are declared, %d are available", limit, available), ErrLimit, nil)
	}
	return &Budget{limit: limit}, nil
}

// Limit returns the declared bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used returns the bytes of the pages of the regions that are mapped, touched or not.
func (b *Budget) Used() int64 { return b.used.Load() }

func (b *Budget) take(n int64) bool {
	for {
		used := b.used.Load()
		if n > b.limit-used {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (b *Budget) release(n int64) {
	if b != nil {
		b.used.Add(-n)
	}
}

// memAvailable finds the line of /proc/meminfo, in bytes.
func memAvailable(text []byte) (int64, bool) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) == 3 && string(fields[0]) == "MemAvailable:" && string(fields[2]) == "kB" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 53)
			return kib << 10, err == nil
		}
	}
	return 0, false
}
