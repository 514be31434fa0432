package guest

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/machine"
	"github.com/safevma/safevma/lab/wire"
)

// guest serves one runner.
type guest struct {
	conn    *wire.Conn
	devices []string // modules that disks need
	mounted []string // file systems of disks

	files *unpacking // of the next job
	job   *job       // the one that runs, or the last one
	early []byte     // signals that came before there was one
}

// serve does what the runner says until it says to power off, or is gone.
func (g *guest) serve() error {
	if err := g.greet(); err != nil {
		return err
	}
	for {
		kind, payload, err := g.conn.Receive()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		off, err := g.handle(kind, payload)
		if off || err != nil {
			return err
		}
	}
}

func (g *guest) greet() error {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	return g.conn.SendJSON(wire.Hello, wire.Greeting{Kernel: strings.TrimSpace(string(release))})
}

// handle does one thing that the runner says. An error ends the machine.
func (g *guest) handle(kind wire.Kind, payload []byte) (off bool, err error) {
	switch kind {
	case wire.Prepare:
		return false, g.conn.SendJSON(wire.Ready, answer(g.prepare(payload)))
	case wire.Files:
		if g.files == nil {
			g.files = newUnpacking("/")
		}
		g.files.write(payload)
	case wire.Run:
		if err := g.start(payload); err != nil {
			return false, g.conn.SendJSON(wire.Exit, answer(err))
		}
	case wire.Signal:
		g.signal(payload)
	case wire.Close:
		if g.job != nil && len(payload) == 1 {
			g.job.closeOutput(payload[0])
		}
	case wire.Off:
		return true, g.unmount()
	default:
		return false, fmt.Errorf("the runner sent a frame of kind %q, which this init does not know", kind)
	}
	return false, nil
}

func (g *guest) signal(payload []byte) {
	switch {
	case len(payload) != 1:
	case g.job == nil:
		g.early = append(g.early, payload[0])
	default:
		g.job.signal(payload[0])
	}
}

func answer(err error) wire.Answer {
	if err != nil {
		return wire.Answer{Error: err.Error()}
	}
	return wire.Answer{}
}

func (g *guest) prepare(payload []byte) error {
	var s wire.Setup
	if err := json.Unmarshal(payload, &s); err != nil {
		return err
	}
	if err := sys.SetClock(s.Now); err != nil {
		return err
	}
	if err := sys.AddEntropy(s.Entropy); err != nil {
		return err
	}
	if err := g.storage(&s.Machine); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s.Machine, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(machine.File), 0o755); err != nil {
		return err
	}
	return os.WriteFile(machine.File, text, 0o644)
}

func (g *guest) unmount() error {
	var errs []error
	for _, target := range g.mounted {
		errs = append(errs, sys.Unmount(target))
	}
	return errors.Join(errs...)
}

// start lays the files of a job out and runs it.
func (g *guest) start(payload []byte) error {
	var j wire.Job
	if err := json.Unmarshal(payload, &j); err != nil {
		return err
	}
	if g.files != nil {
		err := g.files.close()
		g.files = nil
		if err != nil {
			return fmt.Errorf("laying out the files of the job: %w", err)
		}
	}
	started, err := startJob(g.conn, j)
	if err != nil {
		return err
	}
	g.job = started
	for _, number := range g.early {
		g.job.signal(number)
	}
	g.early = nil
	go g.finish(started)
	return nil
}

// finish sends what a job brings back, and how it ended.
func (g *guest) finish(j *job) {
	result := j.wait()
	if err := g.bring(j.Bring); err != nil {
		result.Error = fmt.Sprintf("sending files back: %v", err)
	}
	// When the port is broken the runner is gone, and serve sees it too.
	_ = g.conn.SendJSON(wire.Exit, result)
}

func (g *guest) bring(paths []string) error {
	archive := tar.NewWriter(g.conn.Writer(wire.Files))
	for _, path := range paths {
		if err := wire.Pack(archive, path, nil); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return archive.Close()
}

// unpacking lays a tar archive out that arrives in pieces.
type unpacking struct {
	pipe *io.PipeWriter
	done chan error
}

func newUnpacking(root string) *unpacking {
	r, w := io.Pipe()
	u := &unpacking{w, make(chan error, 1)}
	go func() {
		err := wire.Unpack(r, root, nil)
		r.CloseWithError(err)
		u.done <- err
	}()
	return u
}

// write takes the next piece. Its error is the one that close returns.
func (u *unpacking) write(b []byte) { _, _ = u.pipe.Write(b) }

func (u *unpacking) close() error {
	u.pipe.Close()
	return <-u.done
}
