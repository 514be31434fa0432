package memfd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

const (
	// enterVariable tells a helper that it is the one outside, and is to start the other
	// in the namespace that it finds open at namespaceFD.
	enterVariable = "SAFEVMA_ENTER_PID_NAMESPACE"
	namespaceFD   = HelperFD + 1
)

// The users that the helper inside may be. The first is the last id that there is, which
// no distribution and no tool hands out; containers do run as the second.
var strangers = []int{1<<32 - 2, 65534}

// ServePolicy is what the helper of [InNamespace] does, and all that it does: it writes
// what [PolicyProbe] observes, in the PID namespace that it was sent to, as JSON. noexec
// is its descriptor 3. It gives up the privileges of this process for good, so nothing
// else can be done in it afterwards.
func ServePolicy(noexec *os.File, out io.Writer) error {
	if os.Getenv(enterVariable) == "" {
		if err := sys.Undumpable(); err != nil {
			return err
		}
		return servePolicy(noexec, out)
	}
	answer, err := enter(noexec)
	if err != nil {
		return json.NewEncoder(out).Encode(failureOf(err))
	}
	_, err = out.Write(answer)
	return err
}

func servePolicy(noexec *os.File, out io.Writer) error {
	return json.NewEncoder(out).Encode(PolicyProbe(noexec))
}

// enter starts the helper inside, and returns what it wrote.
func enter(noexec *os.File) ([]byte, error) {
	// The thread enters, and the child inherits its no_new_privs. It is never unlocked: this
	// process ends with the answer. The child can't be tied to its end by Pdeathsig, for
	// which Go compares ids of parents, and a parent outside has none.
	runtime.LockOSThread()
	ns := os.NewFile(namespaceFD, "namespace")
	err := sys.EnterPIDNamespace(ns)
	ns.Close() // the one inside must not have it
	if err != nil {
		return nil, err
	}
	if err := lower(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = []string{} // the namespace's processes may be able to read it
	cmd.ExtraFiles = []*os.File{noexec}
	answer, err := output(cmd)
	switch {
	case ctx.Err() != nil:
		return nil, syscall.ETIMEDOUT
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("it must be executable for everybody: %w", err)
	}
	return answer, err
}

// lower makes this process one that is worth nothing to whoever takes it over.
func lower() error {
	if err := sys.NoNewPrivileges(); err != nil {
		return err
	}
	for _, id := range strangers {
		err := sys.BecomeUser(id)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EPERM) {
			return err
		}
	}
	if err := sys.DropCapabilities(); err != nil {
		return err
	}
	return sys.Undumpable()
}

// failure is what a helper writes that could not send the other one.
type failure struct {
	Failure string        `json:"failure"`
	Errno   syscall.Errno `json:"errno,omitempty"`
}

func failureOf(err error) failure {
	f := failure{Failure: err.Error()}
	errors.As(err, &f.Errno)
	return f
}

// decodeFailure returns the error that a helper wrote, nil where it wrote none.
func decodeFailure(b []byte) error {
	var f failure
	if json.Unmarshal(b, &f) != nil || f.Failure == "" {
		return nil
	}
	switch f.Errno {
	case 0:
		return fmt.Errorf("helper: %s", f.Failure)
	case syscall.ETIMEDOUT:
		return ErrNoAnswer
	}
	return fmt.Errorf("helper: %s: %w", f.Failure, process.Classify(f.Errno))
}
