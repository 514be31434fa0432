package vm

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/safevma/safevma/lab/image"
	"github.com/safevma/safevma/lab/machine"
	"github.com/safevma/safevma/lab/wire"
)

// Machine is a running lab machine. Run is for one goroutine at a time; Signal, Cut and
// Console may be called from others meanwhile.
type Machine struct {
	machine.Machine
	// Resumed says that it went on from a saved state.
	Resumed bool

	process *process
	conn    *wire.Conn
	cut     atomic.Bool
}

// Errors that tell how a machine ended.
var (
	ErrPanic = errors.New("the guest's kernel panicked")
	ErrCut   = errors.New("the machine's power was cut")
	ErrGone  = errors.New("QEMU ended")
)

// Start starts a machine and prepares it for its first job.
func (l *Lab) Start(ctx context.Context, c Config) (*Machine, error) {
	p, err := l.plan(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.start(ctx)
}

func (p *plan) start(ctx context.Context) (*Machine, error) {
	bring := p.resume
	if p.Fresh {
		bring = func(ctx context.Context) (*Machine, error) { return p.boot(ctx, nil) }
	}
	m, err := bring(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, m.Cut)
	defer stop()
	if err := m.prepare(); err != nil {
		m.Cut()
		if m.Resumed && ctx.Err() == nil {
			p.forget()
		}
		return nil, errors.Join(context.Cause(ctx), err)
	}
	return m, nil
}

// boot starts a machine from nothing, and waits until its init greets. Without files for
// its memory it gets private ones.
func (p *plan) boot(ctx context.Context, ram []string) (*Machine, error) {
	shared := ram != nil
	m, err := p.launch(ctx, ram, shared)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, m.Cut)
	defer stop()
	greeting, err := m.hello()
	if err == nil && greeting.Kernel != p.kernel.Release {
		err = fmt.Errorf("kernel %s was started, and %s greets", p.kernel.Release, greeting.Kernel)
	}
	if err != nil {
		m.Cut()
		return nil, errors.Join(context.Cause(ctx), fmt.Errorf("the guest did not come up: %w", err))
	}
	return m, nil
}

// hello waits for the guest's greeting, which a resumed one has sent long ago.
func (m *Machine) hello() (wire.Greeting, error) {
	var g wire.Greeting
	err := m.expect(wire.Hello, &g)
	return g, err
}

// launch starts QEMU.
func (p *plan) launch(ctx context.Context, ram []string, shared bool, more ...string) (*Machine, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	files, err := p.storageFiles()
	if err != nil {
		return nil, err
	}
	defer func() { closeAll(files) }()
	if ram == nil {
		for range p.NUMANodes {
			file, err := image.Unnamed(p.lab.Dir, int64(p.MemoryMiB/p.NUMANodes)<<20)
			if err != nil {
				return nil, err
			}
			ram = append(ram, fmt.Sprintf("/proc/self/fd/%d", fdFirst+len(files)))
			files = append(files, file)
		}
	}
	initrd, err := p.initrd()
	if err != nil {
		return nil, err
	}
	args := append(p.commandLine(p.kernel.Image(), initrd, ram, shared), more...)
	process, err := startQEMU(p.program, args, files)
	if err != nil {
		return nil, err
	}
	return &Machine{Machine: p.describe(p.kernel.Release), process: process, conn: wire.NewConn(process.port)}, nil
}

// prepare tells the guest what a saved state can't know.
func (m *Machine) prepare() error {
	entropy := make([]byte, 64)
	if _, err := rand.Read(entropy); err != nil {
		return err
	}
	if err := m.conn.SendJSON(wire.Prepare, wire.Setup{Now: time.Now(), Entropy: entropy, Machine: m.Machine}); err != nil {
		return m.explain(err)
	}
	var a wire.Answer
	if err := m.expect(wire.Ready, &a); err != nil {
		return err
	}
	if a.Error != "" {
		return m.explain(fmt.Errorf("the guest: %s", a.Error))
	}
	return nil
}

// expect receives one frame of a kind, within [Patience].
func (m *Machine) expect(want wire.Kind, v any) error {
	if err := m.process.port.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		return m.explain(err)
	}
	kind, payload, err := m.conn.Receive()
	if err != nil {
		return m.explain(err)
	}
	if kind != want {
		return fmt.Errorf("the guest sent a frame of kind %q, want %q", kind, want)
	}
	if err := m.process.port.SetReadDeadline(time.Time{}); err != nil {
		return m.explain(err)
	}
	return json.Unmarshal(payload, v)
}

// Job is a program to run in a machine.
type Job struct {
	wire.Job
	// Files adds the files that the job needs, the program among them. Paths in the guest
	// are those in the archive, below the root.
	Files func(*tar.Writer) error
	// Stdout and Stderr take what the program writes. When a write fails, the program's
	// output is closed, as it would be outside.
	Stdout, Stderr io.Writer
	// Mark is called for each line that the program wrote to its mark FIFO. It may cut the
	// power. Marks and output are not ordered among each other.
	Mark func(line string)
	// Bring in wire.Job names what to bring back: it is laid out below BringTo, under its
	// own absolute path. Empty is the root: where the guest had it, the host gets it.
	BringTo string
}

// Run runs a program, and returns how it ended. When ctx ends, the machine's power is cut,
// and Run returns soon, even while a Write of the job's outputs does not.
func (m *Machine) Run(ctx context.Context, j Job) (wire.Answer, error) {
	type end struct {
		wire.Answer
		err error
	}
	ended := make(chan end, 1)
	go func() {
		a, err := m.run(j)
		ended <- end{a, err}
	}()
	select {
	case e := <-ended:
		return e.Answer, e.err
	case <-ctx.Done():
	}
	m.Cut()
	select {
	case e := <-ended:
		if e.err == nil {
			return e.Answer, nil
		}
	case <-time.After(time.Second): // somebody does not read
	}
	return wire.Answer{}, context.Cause(ctx)
}

func (m *Machine) run(j Job) (wire.Answer, error) {
	if err := m.begin(j); err != nil {
		return wire.Answer{}, err
	}
	in := newIncoming(m.conn, j)
	defer in.close()
	for {
		kind, payload, err := m.conn.Receive()
		if err != nil {
			return wire.Answer{}, m.explain(err)
		}
		if kind != wire.Exit {
			if err := in.take(kind, payload); err != nil {
				return wire.Answer{}, err
			}
			continue
		}
		var a wire.Answer
		if err := json.Unmarshal(payload, &a); err != nil {
			return a, err
		}
		if a.Error != "" {
			return a, fmt.Errorf("the guest: %s", a.Error)
		}
		return a, in.close()
	}
}

// begin sends a job.
func (m *Machine) begin(j Job) error {
	if j.Files != nil {
		archive := tar.NewWriter(m.conn.Writer(wire.Files))
		if err := errors.Join(j.Files(archive), archive.Close()); err != nil {
			return m.explain(fmt.Errorf("sending the job's files: %w", err))
		}
	}
	if err := m.conn.SendJSON(wire.Run, j.Job); err != nil {
		return m.explain(err)
	}
	return nil
}

// Signal sends a signal to the program that runs.
func (m *Machine) Signal(s syscall.Signal) error { return m.conn.Send(wire.Signal, []byte{byte(s)}) }

// Cut ends the machine as a power failure does: what the guest had only in its page cache
// is lost. It returns when QEMU is gone.
func (m *Machine) Cut() {
	m.cut.Store(true)
	m.process.kill()
}

// PowerOff lets the guest write everything to its disks and power off.
func (m *Machine) PowerOff() error {
	defer m.process.kill()
	if err := m.conn.Send(wire.Off, nil); err != nil {
		return m.explain(err)
	}
	select {
	case <-m.process.ended:
		return nil
	case <-time.After(Patience):
		return m.explain(fmt.Errorf("the guest did not power off within %v", Patience))
	}
}

// Console returns the last messages of the guest's kernel.
func (m *Machine) Console() string { return m.process.console.text() }

// explain adds to an error what the machine's end says. A broken port is mostly the
// consequence of something worse.
func (m *Machine) explain(err error) error {
	if m.cut.Load() {
		err = ErrCut
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		select {
		case <-m.process.ended:
			time.Sleep(50 * time.Millisecond) // its last words are on their way to us
			err = ErrGone
			if m.process.how != nil { // SIGBUS: most likely the disk is full
				err = fmt.Errorf("%w (%w)", ErrGone, m.process.how)
			}
		case <-time.After(10 * time.Second):
		}
	}
	console := m.Console()
	if strings.Contains(console, "Kernel panic") {
		err = ErrPanic
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", Patience)
	}
	if console == "" {
		return err
	}
	return fmt.Errorf("%w; its last messages:\n%s", err, lastWords(console))
}

// lastWords are the lines of the console that tell most: those around a panic, else the
// last ones. A kernel prints its trace before or after the line that says why.
func lastWords(console string) string {
	lines := strings.Split(strings.TrimRight(console, "\n"), "\n")
	from, to := len(lines)-40, len(lines)
	if at := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "Kernel panic") }); at >= 0 {
		from, to = at-40, min(at+40, len(lines))
	}
	return strings.Join(lines[max(0, from):to], "\n")
}

func (l *Lab) say(format string, args ...any) {
	if l.Say != nil {
		l.Say(format, args...)
	}
}
