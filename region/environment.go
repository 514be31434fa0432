package region

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/safevma/safevma/internal/sys"
)

// ReadEnvironment returns a region with the value of an environment variable, and clears it: the
// variable is unset, and its value overwritten in both places where it is since the program started:
// where the kernel put it, which is what /proc/PID/environ shows, and in the Go runtime's copy, which
// strings of os.Getenv and os.Environ point to: such a string shows zeroes afterwards. os.ErrNotExist
// reports that it is not set, [ErrSize] that it is empty; then nothing is changed, as with every other
// error.
//
// Its limits: who could read the environment before has read it; the process that started this one
// has its own copy, and so have children that were started before, and whoever made a copy here
// (os.Setenv leaves what it was given as it is).
func ReadEnvironment(name string, options ...Option) (*Region, error) {
	value, ok := os.LookupEnv(name)
	if !ok {
		return nil, &Error{Op: "read environment", Reason: name, Err: os.ErrNotExist}
	}
	if value == "" {
		return nil, &Error{Op: "read environment", Reason: name + " is empty", Err: ErrSize}
	}
	block, err := environment()
	if err != nil {
		return nil, &Error{Op: "read environment", Reason: "where the environment is can't be found", Err: both(ErrUnsupported, err)}
	}
	r, err := Map(len(value), options...)
	if err != nil {
		return nil, err
	}
	if err := r.Write(func(b []byte) error { copy(b, value); return nil }); err != nil {
		r.Close()
		return nil, err
	}
	overwrite(value)
	clearVariable(block, name)
	if err := os.Unsetenv(name); err != nil {
		r.Close()
		return nil, &Error{Op: "read environment", Reason: name, Err: err}
	}
	return r, nil
}

// clearVariable overwrites all values that a variable has in the block: there may be several, and
// programs differ in which one counts.
func clearVariable(block []byte, name string) {
	prefix := name + "="
	for rest := block; len(rest) > 0; {
		entry := rest
		if end := bytes.IndexByte(rest, 0); end >= 0 {
			entry, rest = rest[:end], rest[end+1:]
		} else {
			rest = nil
		}
		if bytes.HasPrefix(entry, []byte(prefix)) {
			clear(entry[len(prefix):])
		}
	}
}

// environment returns the memory that the kernel put the environment into: of proc_pid_stat(5),
// env_start and env_end.
func environment() ([]byte, error) {
	text, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil, err
	}
	begin, end, err := environmentRange(text)
	if err != nil {
		return nil, err
	}
	return sys.MemoryAt(begin, int(end-begin)), nil
}

// environmentRange parses a line of /proc/PID/stat.
func environmentRange(text []byte) (begin, end uint64, err error) {
	// The name of the program, field 2, is in brackets and may have brackets and spaces.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	const first, envStart, envEnd = 3, 50, 51
	if len(fields) <= envEnd-first {
		return 0, 0, fmt.Errorf("/proc/self/stat has %d fields", len(fields)+first-1)
	}
	if begin, err = strconv.ParseUint(string(fields[envStart-first]), 10, 63); err == nil {
		end, err = strconv.ParseUint(string(fields[envEnd-first]), 10, 63)
	}
	if err == nil && (begin == 0 || end < begin || end-begin > maxSize) {
		err = fmt.Errorf("the environment is from %d to %d", begin, end)
	}
	return begin, end, err
}
