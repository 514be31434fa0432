package memfd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// HelperFD is the descriptor that the helper of [InNamespace] finds [NoexecPath] open
// at.
const HelperFD = 3

// ErrNoAnswer: whoever rules over a PID namespace can stop the experiment in it. Another
// attempt, by way of another process of that namespace, would wait as long.
var ErrNoAnswer = errors.New("no answer from the PID namespace in time")

// InNamespace observes the policy of the PID namespace that the process is in. In the
// caller's own namespace it does so itself, without privilege. Into another one, which
// must be below, it sends helper: a command that calls [ServePolicy] with descriptor
// [HelperFD] and its standard output, such as {"/proc/self/exe", "memfd-policy"}. Its
// program must be executable for everybody; it may lie in a directory that is not.
//
// Where the declared value is not 0, the value of the namespace above is read too, by a
// second helper if need be.
//
// Entering takes CAP_SYS_ADMIN over that namespace and over the caller's own user
// namespace: [process.ErrDenied] without. [process.ErrGone] says that the process, and
// with it perhaps its namespace, has ended; [ErrNoAnswer] that the helper said nothing for
// two seconds, such as where it was stopped: this then takes up to four. Then, and when
// ctx is done, the helper is killed.
//
// # What is given to the namespace
//
// For a moment there is a process in that namespace, and its processes can see it. One
// with CAP_SYS_PTRACE can take it over, as CVE-2016-9962 did, and one that may signal it
// can stop it. So the command runs twice. The first process stays outside: it lowers
// itself to a user that nobody else is (no group, no capability, no_new_privs, not to be
// attached to by an equal), and only then starts the second, inside. Go's fork shares the
// memory of the parent until execve(2): that is the memory of the first process, never the
// caller's. What can be taken over is therefore a process without privilege that sees
// the caller's mounts, network and other namespaces as any unknown user does, with the
// setting open for reading, /dev/null, and two pipes to say something, whose content
// is not trusted but for the answer itself. Its environment is empty.
//
// Where the caller's user namespace has no such user, or the caller may not become it, the
// helper keeps the caller's user ids, and still has no capabilities.
func InNamespace(ctx context.Context, p *process.Process, helper []string) (Policy, error) {
	ns, err := p.Open("ns/pid")
	if notThere(err) && gone(p) {
		err = fmt.Errorf("%w: %w", process.ErrGone, err) // a zombie has no namespaces
	}
	if err != nil {
		return Policy{}, err
	}
	defer ns.Close()
	pr, err := newProber(helper)
	if err != nil {
		return Policy{}, err
	}
	defer pr.close()
	policy, err := pr.policy(ctx, ns)
	if err != nil && gone(p) {
		err = fmt.Errorf("%w: %w", process.ErrGone, err)
	}
	if err != nil {
		return Policy{}, fmt.Errorf("probe vm.memfd_noexec in the PID namespace of process %d: %w", p.PID, err)
	}
	policy.FloorError = ""
	if err := pr.floor(ctx, ns, &policy); err != nil {
		policy.Floor, policy.FloorError = nil, err.Error()
	}
	return policy, nil
}

// prober observes policies in PID namespaces.
type prober struct {
	helper    []string
	own       *os.File // its own PID namespace
	ownStat   sys.FileStat
	noexec    *os.File // nil where it can't be opened
	noexecErr error
}

func newProber(helper []string) (*prober, error) {
	own, err := sys.OpenAt(sys.AtFDCWD, "/proc/self/ns/pid", sys.ORdonly)
	if err != nil {
		return nil, process.Classify(err)
	}
	st, err := sys.Stat(own)
	if err != nil {
		own.Close()
		return nil, err
	}
	pr := &prober{helper: helper, own: own, ownStat: st}
	pr.noexec, pr.noexecErr = sys.OpenAt(sys.AtFDCWD, NoexecPath, sys.ORdonly)
	return pr, nil
}

func (pr *prober) close() {
	pr.own.Close()
	if pr.noexec != nil {
		pr.noexec.Close()
	}
}

// policy observes the policy of ns.
func (pr *prober) policy(ctx context.Context, ns *os.File) (Policy, error) {
	st, err := sys.Stat(ns)
	if err != nil {
		return Policy{}, err
	}
	var policy Policy
	if st.Dev == pr.ownStat.Dev && st.Ino == pr.ownStat.Ino {
		policy = PolicyProbe(pr.noexec)
	} else {
		out, err := pr.run(ctx, ns)
		if err != nil {
			return Policy{}, err
		}
		if policy, err = decodePolicy(out); err != nil {
			return Policy{}, err
		}
	}
	if policy.Namespace != st.Ino {
		return Policy{}, fmt.Errorf("the experiment ran in PID namespace %d instead of %d", policy.Namespace, st.Ino)
	}
	if pr.noexecErr != nil {
		policy.Declared, policy.DeclaredError = nil, pr.noexecErr.Error()
	}
	return policy, nil
}

// floor finds out the value of the namespace above ns.
func (pr *prober) floor(ctx context.Context, ns *os.File, policy *Policy) error {
	lowest := 0
	switch {
	case policy.Declared == nil:
		return errors.New("the value of the namespace itself is unknown")
	case *policy.Declared == 0 || policy.Namespace == sys.PIDNamespaceInit:
		policy.Floor = &lowest
		return nil
	}
	parent, err := sys.ParentNamespace(ns)
	if err != nil {
		return process.Classify(err)
	}
	defer parent.Close()
	above, err := pr.policy(ctx, parent)
	if err != nil {
		return err
	}
	if above.Declared == nil {
		return errors.New(above.DeclaredError)
	}
	policy.Floor = above.Declared
	return nil
}

const (
	// outputMax is far above what a helper writes.
	outputMax = 64 << 10
	// drainTime is how long output is waited for after the helper has ended.
	drainTime = time.Second
	// answerTime is how long the helper inside may take. It needs milliseconds; a
	// namespace that stops it must not hold up the audit of all others.
	answerTime = 2 * time.Second
	// returnTime is what the helper outside has beyond that, to start, and to kill the one
	// inside and wait for it. It can itself be held up, while the other does not come to
	// execute its program.
	returnTime = time.Second
)

// run runs the helper in ns and returns what it wrote.
func (pr *prober) run(ctx context.Context, ns *os.File) ([]byte, error) {
	if len(pr.helper) == 0 {
		return nil, errors.New("no helper to run in another PID namespace")
	}
	noexec := pr.noexec
	if noexec == nil { // the number must be taken
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		defer null.Close()
		noexec = null
	}
	limited, cancel := context.WithTimeout(ctx, answerTime+returnTime)
	defer cancel()
	cmd := exec.CommandContext(limited, pr.helper[0], pr.helper[1:]...)
	cmd.Env = []string{enterVariable + "=1"}
	cmd.ExtraFiles = []*os.File{HelperFD - 3: noexec, namespaceFD - 3: ns}
	// The helper inside is of the same group, so that one signal ends both.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := output(cmd)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("helper %q: %w", pr.helper, ctx.Err())
	case limited.Err() != nil:
		return nil, fmt.Errorf("helper %q: %w", pr.helper, ErrNoAnswer)
	case err != nil:
		return nil, fmt.Errorf("helper %q: %w", pr.helper, err)
	}
	return out, decodeFailure(out)
}

// output runs a helper and returns what it wrote.
func output(cmd *exec.Cmd) ([]byte, error) {
	out, complaint := &limitedBuffer{}, &limitedBuffer{}
	cmd.Dir = "/"
	cmd.WaitDelay = drainTime
	cmd.Stdout, cmd.Stderr = out, complaint
	err := cmd.Run()
	if err != nil && cmd.ProcessState != nil {
		err = fmt.Errorf("%w: %q", err, complaint.b.Bytes())
	}
	return out.b.Bytes(), err
}

// decodePolicy decodes what a helper wrote, and refuses what no helper writes.
func decodePolicy(b []byte) (Policy, error) {
	var p Policy
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Policy{}, fmt.Errorf("answer of the helper: %w: %w", process.ErrMalformed, err)
	}
	if d.More() {
		return Policy{}, fmt.Errorf("answer of the helper: %w: more than one", process.ErrMalformed)
	}
	for _, a := range []Attempt{p.Default, p.Exec, p.NoexecSeal} {
		if a.Call == "" {
			return Policy{}, fmt.Errorf("answer of the helper: %w: an attempt is missing", process.ErrMalformed)
		}
	}
	return p, nil
}

// limitedBuffer refuses more than a helper has to say. The buffer is not embedded: its
// ReadFrom would take all.
type limitedBuffer struct{ b bytes.Buffer }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	if l.b.Len()+len(p) > outputMax {
		return 0, fmt.Errorf("more than %d bytes of output", outputMax)
	}
	return l.b.Write(p)
}
