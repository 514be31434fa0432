package sys

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an init does, and nobody else.

// Mount mounts a file system.
func Mount(source, target, fstype, options string) error {
	if err := unix.Mount(source, target, fstype, 0, options); err != nil {
		return &os.PathError{Op: "mount " + fstype, Path: target, Err: err}
	}
	return nil
}

// Unmount unmounts what is mounted on target.
func Unmount(target string) error {
	if err := unix.Unmount(target, 0); err != nil {
		return &os.PathError{Op: "unmount", Path: target, Err: err}
	}
	return nil
}

// LoadModule loads a kernel module from an open file. EEXIST says that the kernel has it
// already.
func LoadModule(file *os.File, parameters string) error {
	return os.NewSyscallError("finit_module", unix.FinitModule(int(file.Fd()), parameters, 0))
}

// PowerOff writes back what is dirty and powers the machine off. It returns only with an
// error.
func PowerOff() error {
	unix.Sync()
	return os.NewSyscallError("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
}

// SetClock sets the clock of the machine.
func SetClock(now time.Time) error {
	tv := unix.NsecToTimeval(now.UnixNano())
	return os.NewSyscallError("settimeofday", unix.Settimeofday(&tv))
}

// entropyPool is struct rand_pool_info of include/uapi/linux/random.h, with room for 64
// bytes.
type entropyPool struct {
	bits, size int32
	data       [64]byte
}

var _ = [1]struct{}{}[unsafe.Sizeof(entropyPool{})-72]

// AddEntropy credits at most 64 random bytes to the kernel's random number generator,
// and makes it start anew from them (random(4)). It needs CAP_SYS_ADMIN.
func AddEntropy(random []byte) error {
	file, err := os.OpenFile("/dev/urandom", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	pool := entropyPool{}
	pool.size = int32(copy(pool.data[:], random))
	pool.bits = 8 * pool.size
	if _, err := ioctl(file, unix.RNDADDENTROPY, unsafe.Pointer(&pool)); err != nil {
		return os.NewSyscallError("ioctl(RNDADDENTROPY)", err)
	}
	if _, err := ioctl(file, unix.RNDRESEEDCRNG, nil); err != nil {
		return os.NewSyscallError("ioctl(RNDRESEEDCRNG)", err)
	}
	return nil
}

// LinkUp brings a network interface up (netdevice(7)).
func LinkUp(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("ioctl(SIOCSIFFLAGS)", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request))
}

// Mkfifo makes a FIFO.
func Mkfifo(name string, perm uint32) error {
	if err := syscall.Mkfifo(name, perm); err != nil {
		return &os.PathError{Op: "mkfifo", Path: name, Err: err}
	}
	return nil
}
