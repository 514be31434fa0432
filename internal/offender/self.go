package offender

import (
	"fmt"
	"os"
	"reflect"
	"strings"
)

// These read the own /proc by plain text search: the offenders must not lean on the
// parsers that they test.

// ownMapping returns the bounds of the own mapping for which is returns true. line is
// its line in /proc/self/maps.
func ownMapping(is func(start, end Addr, line string) bool) (start, end Addr, err error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "%x-%x ", (*uint64)(&start), (*uint64)(&end)); err != nil {
			return 0, 0, fmt.Errorf("/proc/self/maps: %q: %w", line, err)
		}
		if is(start, end, strings.TrimSuffix(line, "\n")) {
			return start, end, nil
		}
	}
	return 0, 0, fmt.Errorf("no such mapping in /proc/self/maps")
}

// ownText returns the bounds of the mapping that this program's code is in.
func ownText() (start, end Addr, err error) {
	code := Addr(reflect.ValueOf(ownText).Pointer())
	return ownMapping(func(start, end Addr, _ string) bool { return start <= code && code < end })
}

// ownStack returns the bounds of the main thread's stack.
func ownStack() (start, end Addr, err error) {
	return ownMapping(func(_, _ Addr, line string) bool { return strings.HasSuffix(line, " [stack]") })
}

// ownVmFlags returns the VmFlags of the own mapping that begins at start.
func ownVmFlags(start Addr) ([]string, error) {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	_, entry, found := strings.Cut("\n"+string(text), "\n"+start.String()+"-")
	if found {
		_, entry, found = strings.Cut(entry, "\nVmFlags:")
	}
	if !found {
		return nil, fmt.Errorf("no mapping with VmFlags at %v in /proc/self/smaps", start)
	}
	line, _, _ := strings.Cut(entry, "\n")
	return strings.Fields(line), nil
}

// ownMappings returns how many mappings this process has.
func ownMappings() (int, error) {
	text, err := os.ReadFile("/proc/self/maps")
	return strings.Count(string(text), "\n"), err
}
