package feature

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// What a call that must be refused came to: only the one errno is presence.
func TestRefused(t *testing.T) {
	tests := []struct {
		err   error
		want  Answer
		errno string
	}{
		{syscall.EPERM, Present, "EPERM"},
		{os.NewSyscallError("mprotect", syscall.EPERM), Present, "EPERM"},
		{nil, Absent, ""},
		{syscall.EACCES, Unknown, "EACCES"},
		{errors.New("other"), Unknown, ""},
	}
	for _, tt := range tests {
		if r := refused("mprotect", tt.err, syscall.EPERM, "control"); r.Answer != tt.want || r.Errno != tt.errno || r.Observed == "" || r.Control != "control" {
			t.Errorf("%v: %+v, want %s", tt.err, r, tt.want)
		}
	}
}

// Only the errnos that a kernel without the feature answers are absence.
func TestAbsentIf(t *testing.T) {
	for err, want := range map[error]Answer{syscall.ENOSYS: Absent, syscall.EINVAL: Absent, syscall.EPERM: Unknown, errors.New("other"): Unknown} {
		if r := absentIf("mseal", err, "control", syscall.ENOSYS, syscall.EINVAL); r.Answer != want || r.Observed == "" {
			t.Errorf("%v: %+v, want %s", err, r, want)
		}
	}
}

func TestNoControlIsUnknown(t *testing.T) {
	for _, err := range []error{nil, syscall.EPERM} {
		if r := noControl("mprotect before", err); r.Answer != Unknown {
			t.Errorf("%v: %+v", err, r)
		}
	}
}
