package vm

import (
	"fmt"
	"strings"

	"github.com/safevma/safevma/lab/wire"
)

// emulators are QEMU's programs, and the Debian packages that bring them.
var emulators = map[string]struct{ program, pkg string }{
	"amd64": {"qemu-system-x86_64", "qemu-system-x86"},
	"arm64": {"qemu-system-aarch64", "qemu-system-arm"},
}

// Descriptors that QEMU inherits.
const (
	fdPort    = 3 // virtio-serial, to the guest's init
	fdMonitor = 4 // QMP
	fdConsole = 5 // the kernel's messages
	fdFirst   = 6 // of files: NVDIMMs, then disks, then memory
)

// commandLine returns QEMU's arguments. ram are the files of the memory of each NUMA
// node; shared says that the machine writes to them.
func (c Config) commandLine(kernel, initrd string, ram []string, shared bool) []string {
	args := []string{"-accel", c.accelerator(), "-machine", c.machineType(), "-cpu", c.cpu(),
		"-smp", fmt.Sprint(c.CPUs), "-m", fmt.Sprintf("size=%dM,slots=8,maxmem=32G", c.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", c.kernelLine()}
	args = append(args, c.memory(ram, shared)...)
	args = append(args,
		"-chardev", fmt.Sprintf("socket,id=port,fd=%d", fdPort),
		"-chardev", fmt.Sprintf("socket,id=monitor,fd=%d", fdMonitor),
		"-chardev", fmt.Sprintf("socket,id=console,fd=%d", fdConsole),
		"-mon", "chardev=monitor,mode=control", "-serial", "chardev:console",
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=port,name="+wire.PortName)
	return append(args, c.storage()...)
}

func (c Config) accelerator() string {
	if c.Accel == KVM {
		return "kvm"
	}
	// One thread for all processors: with several, QEMU 7.2 sometimes ran half an
	// instruction that another processor was just patching, about one boot in a hundred.
	// Measured, it costs no time.
	return "tcg,thread=single"
}

func (c Config) machineType() string {
	if c.Arch == "arm64" {
		if c.Accel == KVM {
			return "virt"
		}
		return "virt,mte=on"
	}
	m := "q35"
	if len(c.NVDIMMs) > 0 {
		m += ",nvdimm=on"
		if c.Persistence != "" {
			m += ",nvdimm-persistence=" + c.Persistence
		}
	}
	return m
}

func (c Config) cpu() string {
	switch {
	case c.Accel == KVM:
		return "host"
	case c.Arch == "arm64":
		return "max,pauth-impdef=on" // the standard's pointer authentication is very slow to emulate
	}
	return "max"
}

func (c Config) kernelLine() string {
	console := "ttyS0"
	if c.Arch == "arm64" {
		console = "ttyAMA0"
	}
	// panic=-1 ends QEMU at once on a panic. The tests of the kernel's own ciphers cost
	// seconds under emulation, and are not what is tested here.
	words := []string{"console=" + console, "panic=-1", "quiet", "cryptomgr.notests", "kfence.sample_interval=100"}
	return strings.Join(append(words, c.Append...), " ")
}

// memory gives each NUMA node a file: states can then be shared by mapping it.
func (c Config) memory(files []string, shared bool) []string {
	share := "off"
	if shared {
		share = "on"
	}
	var args []string
	for node, file := range files {
		args = append(args, "-object", fmt.Sprintf("memory-backend-file,id=ram%d,size=%dM,mem-path=%s,share=%s", node, c.MemoryMiB/c.NUMANodes, strings.ReplaceAll(file, ",", ",,"), share))
		if c.NUMANodes > 1 {
			first, last := node*c.CPUs/c.NUMANodes, (node+1)*c.CPUs/c.NUMANodes-1
			args = append(args, "-numa", fmt.Sprintf("node,nodeid=%d,memdev=ram%d,cpus=%d-%d", node, node, first, last))
		}
	}
	if c.NUMANodes == 1 {
		args = append(args, "-machine", "memory-backend=ram0")
	}
	return args
}

func (c Config) storage() []string {
	var args []string
	fd := fdFirst
	for i, n := range c.NVDIMMs {
		args = append(args,
			"-object", fmt.Sprintf("memory-backend-file,id=nvdimm%d,share=on,mem-path=/proc/self/fd/%d,size=%d,pmem=off", i, fd, nvdimmSize(n.Kind)),
			"-device", fmt.Sprintf("nvdimm,id=dimm%d,memdev=nvdimm%d,slot=%d", i, i, i))
		fd++
	}
	for i := range c.Disks {
		args = append(args,
			"-blockdev", fmt.Sprintf("driver=file,node-name=file%d,filename=/proc/self/fd/%d,locking=off,cache.direct=off", i, fd),
			"-blockdev", fmt.Sprintf("driver=raw,node-name=disk%d,file=file%d", i, i),
			"-device", fmt.Sprintf("virtio-blk-pci,drive=disk%d,werror=report,rerror=report", i)) // not: wait until somebody makes room
		fd++
	}
	return args
}
