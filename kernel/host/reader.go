package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
)

// Reader reads the facts of a host. Set its roots before the first use; after that it
// may be used by several goroutines.
type Reader struct {
	Proc    string // the proc file system
	Sys     string // sysfs
	Dev     string // device nodes
	Boot    string // where distributions put the kernel's configuration
	Modules string // has a directory for each kernel release
}

// New returns a reader of the proc file system and the sysfs at the given places; ""
// stands for /proc and /sys. The other roots are those of the running system.
func New(proc, sysfs string) *Reader {
	r := &Reader{Proc: "/proc", Sys: "/sys", Dev: "/dev", Boot: "/boot", Modules: "/lib/modules"}
	if proc != "" {
		r.Proc = filepath.Clean(proc)
	}
	if sysfs != "" {
		r.Sys = filepath.Clean(sysfs)
	}
	return r
}

// Read reads everything once. What could not be read is unknown in the result, with
// the reason; the error is that of the context alone, and then the facts that were not
// reached are [ErrNotRead].
func (r *Reader) Read(ctx context.Context) (*Facts, error) {
	s := &session{Reader: r, live: process.At(r.Proc).Live()}
	f := &Facts{Window: guarantee.Window{From: time.Now().UTC()}}
	var err error
	for _, step := range []func(*Facts){
		s.reader, s.kernel, s.memory, s.commit, s.sysctls, s.oom, s.swap, s.ksm, s.hugePages,
		s.security, s.lastReaders, s.secretMemory, s.zones, s.cpu, s.hardware, s.slab, s.hardening,
	} {
		if err = ctx.Err(); err != nil {
			break
		}
		step(f)
	}
	f.Window.To = time.Now().UTC()
	return f, err
}

// session is one reading.
type session struct {
	*Reader
	live bool // Proc is the running kernel's
	// privileged: a refusal is the kernel's policy, and not for want of rights.
	privileged bool
}

func (s *session) proc(elem ...string) string {
	return filepath.Join(append([]string{s.Proc}, elem...)...)
}

func (s *session) sysfs(elem ...string) string {
	return filepath.Join(append([]string{s.Sys}, elem...)...)
}

// experiment returns why no experiment can be made.
func (s *session) experiment() error {
	if !s.live {
		return ErrNotLive
	}
	return nil
}

// sizeMax is more than any file has that is read here.
const sizeMax = 64 << 20

// bounded is a reader that fails, instead of ending, where there is more than it may
// give: a short reading is never taken for a whole one.
type bounded struct {
	r    io.Reader
	left int64
}

func bound(r io.Reader) io.Reader { return &bounded{r, sizeMax} }

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, malformed("longer than %d bytes", int64(sizeMax))
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// stream opens a file and gives it to f. What is not a regular file is refused: a named
// pipe in a copied tree would block, and a device in the place of a file of the kernel
// is what containers hide it behind.
func stream(path string, f func(io.Reader) error) error {
	st, err := sys.StatAt(sys.AtFDCWD, path)
	if err != nil {
		return classify(err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return malformed("%s is not a regular file", path)
	}
	file, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdonly)
	if err != nil {
		return classify(err)
	}
	defer file.Close()
	return at(path, classify(f(bound(file))))
}

// readFile returns the whole content of a file.
func readFile(path string) ([]byte, error) {
	var b []byte
	err := stream(path, func(r io.Reader) (err error) {
		b, err = io.ReadAll(r)
		return err
	})
	return b, err
}

// read makes a fact of the text of a file.
func read[T any](path string, parse func(string) (T, error)) Value[T] {
	b, err := readFile(path)
	if err != nil {
		return unknown[T](guarantee.Read, path, "", err)
	}
	raw := string(bytes.TrimSuffix(b, []byte("\n")))
	v, err := parse(string(b))
	if err != nil {
		return unknown[T](guarantee.Read, path, raw, at(path, err))
	}
	return known(v, guarantee.Read, path, raw)
}

// readStream makes a fact of a file that may be long; parse also returns the text that
// decides.
func readStream[T any](path string, parse func(io.Reader) (v T, raw string, err error)) Value[T] {
	var v T
	var raw string
	err := stream(path, func(r io.Reader) (err error) {
		v, raw, err = parse(r)
		return err
	})
	if err != nil {
		return unknown[T](guarantee.Read, path, raw, err)
	}
	return known(v, guarantee.Read, path, raw)
}

func readUint(path string) Value[uint64]   { return read(path, parseUint) }
func readSwitch(path string) Value[bool]   { return read(path, parseSwitch) }
func readChoice(path string) Value[Choice] { return read(path, parseChoice) }

// exists makes a fact of whether a file is there, whatever it is.
func exists(path string) Value[bool] {
	_, err := sys.StatAt(sys.AtFDCWD, path)
	switch {
	case err == nil:
		return known(true, guarantee.Read, path, "present")
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ENOTDIR):
		return known(false, guarantee.Read, path, "ENOENT")
	}
	return unknown[bool](guarantee.Read, path, "", err)
}

// list returns the names in a directory.
func list(path string) ([]string, error) {
	dir, err := sys.OpenAt(sys.AtFDCWD, path, sys.ORdonly|sys.ODirectory)
	if err != nil {
		return nil, classify(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return names, classify(err)
}
