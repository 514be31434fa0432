package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab/debian"
	"github.com/safevma/safevma/lab/image"
)

// Lab starts machines. It may be used by several goroutines, and several processes may
// use one folder.
type Lab struct {
	// Dir keeps kernels, saved states and file systems that were made: all of it can be
	// made again.
	Dir string
	// Init is the program that becomes the guest's first process, by architecture: a
	// static build of cmd/safevma-lab.
	Init func(ctx context.Context, arch string) (path string, err error)
	// Say is told what is going on while something takes long. It may be nil.
	Say func(format string, args ...any)
}

// Patience bounds each step of bringing a machine up. Emulation on a loaded machine is
// slow; nothing waits this long when all is well.
const Patience = 4 * time.Minute

// Kernels returns the cache of kernels.
func (l *Lab) Kernels() *debian.Cache { return &debian.Cache{Dir: l.Dir, Say: l.Say} }

// plan is all that is needed to start a machine.
type plan struct {
	Config
	lab      *Lab
	kernel   *debian.Kernel
	program  string // QEMU
	version  string // of QEMU
	init     []byte
	initHash string
}

func (l *Lab) plan(ctx context.Context, c Config) (*plan, error) {
	c = c.withDefaults()
	if c.Accel == "" || c.Accel == Auto {
		accel, err := l.chooseAccel(ctx, c)
		if err != nil {
			return nil, err
		}
		c.Accel = accel
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &plan{Config: c, lab: l}
	var err error
	if p.program, p.version, err = findQEMU(ctx, c.Arch); err != nil {
		return nil, err
	}
	path, err := l.Init(ctx, c.Arch)
	if err != nil {
		return nil, err
	}
	if err := CheckProgram(path, c.Arch); err != nil {
		return nil, err
	}
	if p.init, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(p.init)
	p.initHash = hex.EncodeToString(sum[:8])
	p.kernel, err = l.Kernels().Get(ctx, c.Kernel, c.Arch)
	return p, err
}

func findQEMU(ctx context.Context, arch string) (program, version string, err error) {
	e := emulators[arch]
	if program, err = exec.LookPath(e.program); err != nil {
		return "", "", fmt.Errorf("%s is not installed: it comes with Debian's package %s", e.program, e.pkg)
	}
	text, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "", "", fmt.Errorf("%s --version: %w", e.program, err)
	}
	version, _, _ = strings.Cut(string(text), "\n")
	return program, version, nil
}

// initrd returns the file with the guest's first root, which is made once for each init
// and kernel.
func (p *plan) initrd() (string, error) {
	path := filepath.Join(p.lab.Dir, "initramfs", p.kernel.Release+"-"+p.contents())
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	content, err := initramfs(p.kernel, p.init)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := writeWhole(path, content); err != nil {
		return "", err
	}
	return path, p.forgetOlder(path)
}

// contents names what is in a first root.
func (p *plan) contents() string {
	sum := sha256.Sum256([]byte(p.kernel.Identity() + p.initHash))
	return hex.EncodeToString(sum[:8])
}

// forgetOlder removes first roots of this kernel with other inits. Somebody who uses one
// has an older program, and makes it again.
func (p *plan) forgetOlder(current string) error {
	all, err := filepath.Glob(filepath.Join(p.lab.Dir, "initramfs", p.kernel.Release+"-*"))
	for _, path := range all {
		if path != current {
			err = errors.Join(err, os.Remove(path))
		}
	}
	if errors.Is(err, fs.ErrNotExist) { // somebody else removed it
		return nil
	}
	return err
}

// writeWhole writes a file that others see whole or not at all.
func writeWhole(path string, content []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}

// storageFiles opens the files of the machine's NVDIMMs and disks, in the order of the
// command line.
func (p *plan) storageFiles() ([]*os.File, error) {
	var files []*os.File
	open := func(group string, s Storage, size int64, create func(path, kind string, size int64) error) error {
		file, err := p.lab.storageFile(group, s, size, create)
		if err == nil {
			files = append(files, file)
		}
		return err
	}
	for _, n := range p.NVDIMMs {
		if err := open("nvdimm", n, nvdimmSize(n.Kind), image.NVDIMM); err != nil {
			closeAll(files)
			return nil, err
		}
	}
	for _, d := range p.Disks {
		if err := open("disk", d, diskSize(d.Kind), image.Disk); err != nil {
			closeAll(files)
			return nil, err
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// storageFile opens the caller's file, or a private copy of one that is made once.
func (l *Lab) storageFile(group string, s Storage, size int64, create func(path, kind string, size int64) error) (*os.File, error) {
	if s.Path != "" {
		if _, err := os.Stat(s.Path); errors.Is(err, fs.ErrNotExist) {
			if err := create(s.Path, s.Kind, size); err != nil {
				return nil, err
			}
		}
		return own(s.Path, size)
	}
	pattern, err := l.storageTemplate(group, s.Kind, size, create)
	if err != nil {
		return nil, err
	}
	return image.Private(pattern, l.Dir)
}

// own opens a file of the caller's, for one machine at a time.
func own(path string, size int64) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%s has %d bytes: this kind of storage has %d", path, info.Size(), size)
	}
	if err == nil {
		err = sys.TryLock(file) // QEMU inherits it
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func (l *Lab) storageTemplate(group, kind string, size int64, create func(path, kind string, size int64) error) (string, error) {
	dir := filepath.Join(l.Dir, "storage")
	path := filepath.Join(dir, fmt.Sprintf("%s-%s-%d", group, kind, size>>20))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(dir, "new-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := create(filepath.Join(temp, "image"), kind, size); err != nil {
		return "", err
	}
	return path, os.Rename(filepath.Join(temp, "image"), path)
}

// NewNVDIMM makes the file of an NVDIMM for [Storage.Path], and NewDisk one of a disk:
// for machines that are to find again what an earlier one wrote.
func (l *Lab) NewNVDIMM(path, kind string) error { return image.NVDIMM(path, kind, nvdimmSize(kind)) }

// NewDisk makes the file of a disk.
func (l *Lab) NewDisk(path, kind string) error { return image.Disk(path, kind, diskSize(kind)) }
