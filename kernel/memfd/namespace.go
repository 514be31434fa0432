package memfd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// HelperFD is the descriptor that the helper of [InNamespace] finds [NoexecPath] open
// at.
const HelperFD = 3

// InNamespace observes the policy of the PID namespace that the process is in. In the
// caller's own namespace it does so itself, without privilege. Into another one, which
// must be below, it starts helper: a command that calls [ServePolicy] with descriptor
// [HelperFD] and its standard output, such as {"/proc/self/exe", "memfd-policy"}. The
// helper keeps the caller's credentials and all other namespaces, has an empty
// environment, and is a process in that namespace for a moment: its processes can see it.
// It is killed when ctx is done, and always waited for.
//
// Where the declared value is not 0, the value of the namespace above is read too, by a
// second helper if need be.
//
// Entering takes CAP_SYS_ADMIN over that namespace and over the caller's own user
// namespace: [process.ErrDenied] without. [process.ErrGone] says that the process, and
// with it perhaps its namespace, has ended.
func InNamespace(ctx context.Context, p *process.Process, helper []string) (Policy, error) {
	ns, err := p.Open("ns/pid")
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
)

// run runs the helper in ns and returns what it wrote.
func (pr *prober) run(ctx context.Context, ns *os.File) ([]byte, error) {
	if len(pr.helper) == 0 {
		return nil, errors.New("no helper to run in another PID namespace")
	}
	cmd := exec.CommandContext(ctx, pr.helper[0], pr.helper[1:]...)
	cmd.Env = []string{} // the namespace's processes may be able to read it
	cmd.Dir = "/"
	cmd.WaitDelay = drainTime
	out, complaint := &limitedBuffer{}, &limitedBuffer{}
	cmd.Stdout, cmd.Stderr = out, complaint
	if pr.noexec != nil {
		cmd.ExtraFiles = []*os.File{pr.noexec}
	}
	if err := pr.startIn(cmd, ns); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("helper %q: %w", pr.helper, ctx.Err())
	case err != nil:
		return nil, fmt.Errorf("helper %q: %w: %q", pr.helper, err, complaint.b.Bytes())
	}
	return out.b.Bytes(), nil
}

// startIn starts cmd in the PID namespace ns.
//
// The namespace of further children is a property of a thread, so a thread is taken for
// it, and goes back to its own namespace before anything else can run on it. Where that
// fails the goroutine ends while it is locked, and the runtime ends the thread with it.
func (pr *prober) startIn(cmd *exec.Cmd, ns *os.File) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := sys.EnterPIDNamespace(ns)
		if err != nil {
			runtime.UnlockOSThread() // it is where it was
			started <- err
			return
		}
		err = cmd.Start()
		if sys.EnterPIDNamespace(pr.own) == nil {
			runtime.UnlockOSThread()
		}
		started <- err
	}()
	return process.Classify(<-started)
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
