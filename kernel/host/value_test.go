package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
)

// A fact that nobody read is unknown: never a zero that could pass for a reading.
func TestZeroValueIsUnknown(t *testing.T) {
	var v Value[int]
	if _, err := v.Get(); v.Known() || !errors.Is(err, ErrNotRead) {
		t.Errorf("known %v, error %v; want unknown, not read", v.Known(), err)
	}
	derived := then(v, func(n int) (int, string, error) { return n + 1, "", nil })
	if _, err := derived.Get(); !errors.Is(err, ErrNotRead) {
		t.Errorf("derived from it: error %v; want not read", err)
	}
}

func TestReasons(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Reason
	}{
		{nil, ""},
		{syscall.ENOENT, Absent},
		{syscall.ENOSYS, Absent},
		{syscall.EACCES, Denied},
		{syscall.EPERM, Denied},
		{syscall.EIO, Failed},
		{malformed("x"), Malformed},
		{fmt.Errorf("wrapped: %w", ErrNotLive), NotLive},
		{errors.Join(ErrAbsent, ErrDenied), Denied},
		{errors.Join(ErrAbsent, ErrDenied, ErrMalformed), Malformed},
	} {
		if got := ReasonOf(classify(test.err)); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// The JSON form of an unknown fact has no value, and says why; raw text cannot write to
// a terminal.
func TestValueJSON(t *testing.T) {
	b, err := json.Marshal(unknown[uint64](guarantee.Read, "/proc/x", "\x1b[2J", syscall.EACCES))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"value":null`, `"unknown":"denied"`, `"why":"permission denied: permission denied"`, `"raw":"\\x1b[2J"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("%s has no %s", b, want)
		}
	}
	b, err = json.Marshal(known(uint64(0), guarantee.Probe, "open(x)", "opened"))
	if want := `{"value":0,"method":"probe","source":"open(x)","raw":"opened"}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}
