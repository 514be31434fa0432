package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/cgroup"
)

// Answer is what an attempt gave, as short text that is compared exactly: "ok", the name
// of an errno ("EFAULT"), "fault", or what was read.
type Answer string

// Answers that many attempts give.
const (
	OK    Answer = "ok"
	Fault Answer = "fault" // a load or a store by the processor was refused
	yes   Answer = "yes"
	no    Answer = "no"
)

// answer is OK, or the errno.
func answer(err error) Answer {
	if err == nil {
		return OK
	}
	if name := sys.ErrnoName(err); name != "" {
		return Answer(name)
	}
	return Answer("error: " + guarantee.Text(err.Error()))
}

// whether is yes or no.
func whether(b bool) Answer {
	if b {
		return yes
	}
	return no
}

func answerf(format string, args ...any) Answer {
	return Answer(guarantee.Text(fmt.Sprintf(format, args...)))
}

// faulting runs f, and answers Fault where the processor refused it a load or a store.
func faulting(f func()) (a Answer) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			a = Fault
			if _, ok := r.(interface{ Addr() uintptr }); !ok {
				a = answerf("panic: %v", r)
			}
		}
	}()
	f()
	return OK
}

// load reads the first byte.
func load(b []byte) Answer {
	var got byte
	a := faulting(func() { got = b[0] })
	sink.Store(uint32(got)) // so that the load is made
	return a
}

// store writes the first byte.
func store(b []byte) Answer { return faulting(func() { b[0] = 0xa5 }) }

// sink is where loads go whose value does not matter.
var sink atomic.Uint32

// missing reports whether an error says that the kernel does not have the call.
func missing(err error) bool {
	return errors.Is(err, cgroup.ErrNoController) || errors.Is(err, syscall.ENOSYS) || errors.Is(err,
		syscall.EOPNOTSUPP) || errors.Is(err, fs.ErrNotExist)
}

func denied(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, os.ErrPermission)
}

// kind says of what kind a failure of the preparation is.
func kind(err error) Why {
	switch {
	case denied(err):
		return Privilege
	case missing(err):
		return Missing
	}
	return Failed
}

func join(answers []Answer) string {
	texts := make([]string, len(answers))
	for i, a := range answers {
		texts[i] = string(a)
	}
	return strings.Join(texts, ", ")
}

// answerErrno is the name of a positive errno.
func answerErrno(errno int32) Answer { return answer(syscall.Errno(errno)) }
