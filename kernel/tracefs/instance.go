package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Options of an instance.
type Options struct {
	// BufferKiB is the size of the buffer of each CPU in KiB; 0 is 1024. The kernel rounds
	// it up.
	BufferKiB int
}

const defaultBufferKiB = 1024

// Instance is an own instance of tracing. It is for one goroutine at a time.
type Instance struct {
	root *root
	dir  string
	cpus []*cpu
	page []byte
	// layout of pages, and where events say what they are.
	layout *Layout
	typeAt Field
}

// New makes an instance that records nothing yet. It removes those of programs like this
// one that have ended without. Errors wrap [ErrAbsent] or [ErrDenied] where that is why.
// Close it.
func New(o Options) (*Instance, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	i := &Instance{root: root}
	if err := i.make(o); err != nil {
		return nil, errors.Join(classify(err), i.Close())
	}
	return i, nil
}

func (i *Instance) make(o Options) error {
	name, err := ownName()
	if err != nil {
		return err
	}
	instances := filepath.Join(i.root.path, "instances")
	if _, err := sweep(instances); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(instances, name+"-")
	if err != nil {
		return err
	}
	i.dir = dir
	if err := i.readLayout(); err != nil {
		return err
	}
	if o.BufferKiB == 0 {
		o.BufferKiB = defaultBufferKiB
	}
	if err := i.write("trace_clock", "mono"); err != nil {
		return err
	}
	if err := i.write("buffer_size_kb", strconv.Itoa(o.BufferKiB)); err != nil {
		return err
	}
	return i.openCPUs()
}

func (i *Instance) readLayout() (err error) {
	file, err := os.Open(filepath.Join(i.root.path, "events", "header_page"))
	if err != nil {
		return err
	}
	defer file.Close()
	if i.layout, err = ParseLayout(file); err != nil {
		return err
	}
	i.page = make([]byte, i.layout.Size())
	return nil
}

func (i *Instance) openCPUs() error {
	entries, err := os.ReadDir(filepath.Join(i.dir, "per_cpu"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "cpu")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		pipe, err := sys.OpenNonblocking(filepath.Join(i.dir, "per_cpu", e.Name(), "trace_pipe_raw"))
		if err != nil {
			return err
		}
		i.cpus = append(i.cpus, &cpu{number: n, pipe: pipe})
	}
	if len(i.cpus) == 0 {
		return fmt.Errorf("%w: no CPU in per_cpu", ErrAbsent)
	}
	return nil
}

// Name is the name of the directory below instances.
func (i *Instance) Name() string { return filepath.Base(i.dir) }

// write writes a file of the instance.
func (i *Instance) write(name, text string) error {
	file, err := os.OpenFile(filepath.Join(i.dir, name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// Format returns what an event consists of, or [ErrAbsent].
func (i *Instance) Format(system, event string) (*Format, error) {
	file, err := os.Open(filepath.Join(i.dir, "events", system, event, "format"))
	if err != nil {
		return nil, classify(err)
	}
	defer file.Close()
	f, err := ParseFormat(file)
	if err != nil {
		return nil, fmt.Errorf("%s:%s: %w", system, event, err)
	}
	if i.typeAt.Size == 0 {
		if i.typeAt, err = f.Field("common_type"); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Enable records an event from now on.
func (i *Instance) Enable(system, event string) (*Format, error) {
	f, err := i.Format(system, event)
	if err != nil {
		return nil, err
	}
	return f, classify(i.write(filepath.Join("events", system, event, "enable"), "1"))
}

// Stats reads the kernel's counters, of all CPUs.
func (i *Instance) Stats() ([]Stats, error) {
	var all []Stats
	for _, c := range i.cpus {
		text, err := os.ReadFile(filepath.Join(i.dir, "per_cpu", fmt.Sprintf("cpu%d", c.number), "stats"))
		if err != nil {
			return nil, classify(err)
		}
		s, err := ParseStats(string(text))
		if err != nil {
			return nil, err
		}
		s.CPU = c.number
		all = append(all, s)
	}
	return all, nil
}

// Stop records nothing any more. What was recorded can still be read.
func (i *Instance) Stop() error { return classify(i.write("tracing_on", "0")) }

// closeFor is how long removing is tried: a reader of another process keeps an instance.
const closeFor = 2 * time.Second

// Close ends recording and removes the instance. What was not read is gone.
func (i *Instance) Close() error {
	var errs []error
	for _, c := range i.cpus {
		errs = append(errs, c.pipe.Close())
	}
	i.cpus = nil
	if i.dir != "" {
		errs = append(errs, remove(i.dir))
		i.dir = ""
	}
	if i.root != nil {
		errs = append(errs, i.root.close())
		i.root = nil
	}
	return errors.Join(errs...)
}

// remove removes an instance, for as long as somebody has a file of it open.
func remove(dir string) error {
	for until := time.Now().Add(closeFor); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(dir)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(until) {
			return err
		}
	}
}
