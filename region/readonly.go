package region

import (
	"errors"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

// backReadOnly makes a memfd, fills it through a mapping that ends before it is sealed, and maps
// it to be read. Shared: a private mapping could be written through /proc/self/mem, as a copy.
// In this order: a seal against writing is refused while a mapping could be written.
func (r *Region) backReadOnly(length int, fill func([]byte) error) error {
	file, err := sys.MemfdCreate("region", sys.MfdNoexecSeal)
	if errors.Is(err, syscall.EINVAL) {
		return cannot(readOnly, "the kernel has no MFD_NOEXEC_SEAL: that came with Linux 6.3", ErrUnsupported, err)
	}
	if err != nil {
		return r.failed(readOnly, "", err)
	}
	defer file.Close()
	if err := sys.Fallocate(file, 0, int64(length)); err != nil {
		return r.failed(readOnly, "", os.NewSyscallError("fallocate", err))
	}
	if err := r.fillFile(file, length, fill); err != nil {
		return err
	}
	const all = sys.SealSeal | sys.SealShrink | sys.SealGrow | sys.SealWrite | sys.SealExec
	if err := sys.AddSeals(file, all); err != nil {
		return r.failed(readOnly, "", err)
	}
	if err := r.identify(file); err != nil {
		return r.failed(readOnly, "", err)
	}
	mapping, err := sys.Mmap(length, sys.ProtRead, sys.MapShared, int(file.Fd()), 0)
	if errors.Is(err, syscall.EPERM) {
		return cannot(readOnly, "the kernel does not map what is sealed against writing: that came with Linux 6.7",
			ErrUnsupported, err)
	}
	if err != nil {
		return r.failed(readOnly, "", err)
	}
	return r.place(mapping)
}

// fillFile has the caller fill the file, and sets the canaries beside. The mapping for that has
// the guarantees too that the region will have.
func (r *Region) fillFile(file *os.File, length int, fill func([]byte) error) (err error) {
	pages, err := sys.Mmap(length, readWrite, sys.MapShared, int(file.Fd()), 0)
	if err != nil {
		return r.failed(readOnly, "", err)
	}
	stage := &Region{has: r.has & (noDump | noFork | noSwap), size: r.size, pages: pages}
	defer sys.Munmap(pages)
	if err := stage.advise(); err != nil {
		return err
	}
	if err := stage.lock(); err != nil {
		return err
	}
	begin := 0
	if r.has.has(guarded) {
		begin = r.begin()
		r.setCanaries(pages)
	}
	return fill(pages[begin : begin+r.size : begin+r.size])
}

// identity tells a file from all others, as long as it is mapped.
type identity struct {
	major, minor uint32
	inode        uint64
}

func (r *Region) identify(file *os.File) error {
	st, err := sys.Stat(file)
	r.file = identity{sys.Major(st.Dev), sys.Minor(st.Dev), st.Ino}
	return err
}

// shows reports whether a VMA over the region is of its file, at the right place.
func (r *Region) shows(v *vma.VMA) bool {
	at := int64(v.Start) - int64(sys.Addr(r.pages))
	return r.file == identity{v.Dev.Major, v.Dev.Minor, v.Inode} && int64(v.Offset) == at
}
