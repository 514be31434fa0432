package probe

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// secretKernelProbes are about code that runs in the kernel, or as root beside it.
func secretKernelProbes() []Probe {
	bpfNeeds := Needs{Privilege: "CAP_BPF and CAP_PERFMON", SecretPages: 1}
	user := reach{
		id: "sm-kernel-bpf", row: "SM-KERN", source: sourceKernel,
		try:   "bpf_probe_read_user of a BPF program in the process",
		claim: "not even the kernel can read secret memory (here: a BPF program, by its address in the process)",
		fails: "EFAULT", works: TheBytes, lost: "EFAULT", needs: bpfNeeds,
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer { return t.bpfReads(asm.FnProbeReadUser, sys.Addr(b)) }
		},
	}.probe()
	uprobe := reach{
		id: "sm-kernel-uprobe", row: "SM-KERN", source: sourceKernel,
		try:   "a uprobe in the process, which reads by its address",
		claim: "not even the kernel can read secret memory (here: root's uprobe in the process)",
		fails: "EFAULT", works: TheBytes, lost: "EFAULT",
		needs: Needs{Privilege: "CAP_BPF and CAP_PERFMON", Folder: true, SecretPages: 1},
		do: func(t *trial) func([]byte) Answer {
			code := t.uprobed()
			return func(b []byte) Answer { return code.read(t, sys.Addr(b)) }
		},
	}.probe()
	linear := reach{
		id: "sm-kernel-linear", row: "SM-GUP", source: manSecret + ": \"removed from the kernel page tables\"",
		try:   "bpf_probe_read_kernel of its page frame in the linear map",
		claim: "the page frame of secret memory is not in the kernel's linear map",
		fails: "EFAULT", works: TheBytes, requirement: "SV-LIN-01",
		needs: Needs{Privilege: "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN (page frames), CAP_SYSLOG (where the linear map is)",
			SecretPages: 1},
		do: func(t *trial) func([]byte) Answer {
			base := t.linearMap()
			return func(b []byte) Answer { return t.bpfReads(asm.FnProbeReadKernel, base+t.frame(b)*uint64(pageSize)) }
		},
	}.probe()
	uprobe.Cleanup = "the perf event ends with the process; the file is in the temporary folder"
	return []Probe{user, uprobe, linear, linearCount(), stolenDescriptor()}
}

// linearCount is about the counters of the linear map, which do not know what it lacks.
func linearCount() Probe {
	const pages = 8
	return Probe{
		ID: "sm-linear-count", Source: "proc_meminfo(5), DirectMap4k, 2M, 1G: \"number of bytes of RAM linearly mapped by kernel\"",
		Needs:      Needs{Alone: true, SecretPages: pages},
		Claim:      "the DirectMap lines of /proc/meminfo count no memory that is secret, and so not in the kernel's linear map",
		Experiment: fmt.Sprintf("the sum of the lines before and after %d pages of secret memory are touched", pages),
		Control:    "the same with anonymous memory, and the own VmLck with locked memory, which is counted",
		Oracle:     "counted (it is less by as much): confirmed; not counted: refuted",
		run: func(t *trial) {
			if t.linearSum() == 0 {
				t.stop(Missing, "/proc/meminfo has no line DirectMap")
			}
			secret := func() func() {
				f := t.secretFile(pages)
				b := t.mapped(pages, rw, shared, f)
				t.secretStores(func() { fill(b) })
				return func() { sys.Munmap(b); f.Close() }
			}
			ordinary := func(flags int) asking {
				return func() func() {
					b := t.mapped(pages, rw, private|flags, nil)
					return func() { sys.Munmap(b) }
				}
			}
			type tally struct {
				read func() int64
				ask  asking
			}
			less := func() int64 { return -t.linearSum() }
			splits, small := t.linearSplits(), t.linearSmall()
			t.count(pages)
			compare(t, experiment[tally]{try: "counters of memory", do: func(c tally) Answer {
				return countedTwice(int64(pages*pageSize), 0, func() int64 {
					before := c.read()
					giveBack := c.ask()
					defer giveBack()
					return c.read() - before
				})
			},
				on: "the DirectMap lines and secret memory", subject: tally{less, secret},
				confirms: []Answer{"counted"}, refutes: []Answer{"not counted"},
				controls: []control[tally]{
					{"the DirectMap lines and anonymous memory", tally{less, ordinary(sys.MapPopulate)}, "not counted"},
					{"VmLck and locked memory", tally{t.vmLocked, ordinary(sys.MapLocked)}, "counted"}}})
			t.note("big pages of the linear map that were split meanwhile, for this or for others", "%d, and DirectMap4k grew by %d KiB",
				t.linearSplits()-splits, (t.linearSmall()-small)>>10)
		},
	}
}

// linearSum adds up what the kernel says of its linear map, whatever the sizes of pages.
func (t *trial) linearSum() int64 {
	return t.sum("/proc/meminfo", host.ReadMeminfo("/proc"), func(line string) bool { return strings.HasPrefix(line, "DirectMap") })
}

// linearSmall is how much of the linear map is in small pages, as far as the kernel says that.
func (t *trial) linearSmall() int64 {
	return t.sum("/proc/meminfo", host.ReadMeminfo("/proc"), func(line string) bool { return line == "DirectMap4k" })
}

// linearSplits is how many big pages of the linear map were split since the boot.
func (t *trial) linearSplits() int64 {
	return t.sum("/proc/vmstat", host.ReadVMStat("/proc"), func(line string) bool {
		return strings.HasPrefix(line, "direct_map_") && strings.HasSuffix(line, "_splits")
	})
}

// vmLocked is how much memory of this process is locked.
func (t *trial) vmLocked() int64 {
	p := t.own()
	defer p.Close()
	info, err := p.Info()
	t.must("/proc/self/status", err)
	return int64(info.VmLck)
}

// sum adds up some lines of a table of the kernel.
func (t *trial) sum(path string, read host.Value[host.Table], of func(line string) bool) (sum int64) {
	table, err := read.Get()
	t.must(path, err)
	for line, why := range table.Bad {
		if of(line) {
			t.stop(Failed, "%s: %s: %s", path, line, why)
		}
	}
	for _, line := range table.Names() {
		if of(line) {
			sum += int64(table.Numbers[line])
		}
	}
	return sum
}

// reader is a program that reads 8 bytes at an address into its stack, and then does with
// them what done says. R0 is 0, or the negative errno of the helper.
func reader(helper asm.BuiltinFunc, addr uint64, done ...asm.Instruction) asm.Instructions {
	return append(asm.Instructions{
		asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.LoadImm(asm.R3, int64(addr), asm.DWord),
		helper.Call(),
	}, done...)
}

// bpfReads has a BPF program read 8 bytes: it is run once by hand, and attached to nothing.
func (t *trial) bpfReads(helper asm.BuiltinFunc, addr uint64) Answer {
	got := make([]byte, 0, len(word))
	for half := range uint64(2) { // the program returns 32 bits
		rc := t.runOnce(reader(helper, addr+4*half, asm.Return()))
		if int32(rc) < 0 {
			return answerErrno(-int32(rc))
		}
		n := t.runOnce(reader(helper, addr+4*half, asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word), asm.Return()))
		got = binary.NativeEndian.AppendUint32(got, n)
	}
	return isWord(got, len(got), nil)
}

func (t *trial) runOnce(instructions asm.Instructions) uint32 {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "safevma_probe", Type: ebpf.RawTracepoint, License: "GPL",
		Instructions: instructions})
	t.must("loading a BPF program", err)
	defer program.Close()
	rc, err := program.Run(&ebpf.RunOptions{})
	t.must("running a BPF program", err)
	return rc
}

// uprobe is code in a file of the temporary folder, which this process has mapped.
type uprobe struct {
	code   []byte
	offset uint64 // in the file
	file   *link.Executable
}

func (t *trial) uprobed() *uprobe {
	path := filepath.Join(t.dir, "code")
	// It must be an ELF file for its reader; the code follows the headers.
	text := program()
	entry := len(text)
	text = append(text, sys.ReturnCode(ran)...)
	t.must("a file", os.WriteFile(path, text, 0o700))
	f, err := os.Open(path)
	t.must("a file", err)
	b, err := sys.Mmap(pageSize, rx, private, int(f.Fd()), 0)
	t.must("mmap of a file as code", err)
	exe, err := link.OpenExecutable(path)
	t.must("the file", err)
	return &uprobe{b[entry:], uint64(entry), exe}
}

// read attaches a program to the code, for this process alone, and runs the code.
func (u *uprobe) read(t *trial, addr uint64) Answer {
	if _, err := os.Stat("/sys/bus/event_source/devices/uprobe/type"); err != nil {
		t.stop(Missing, "%v: no uprobes by perf_event_open", err) // and none by tracefs, which all would see
	}
	results, err := ebpf.NewMap(&ebpf.MapSpec{Name: "safevma_probe", Type: ebpf.Array, KeySize: 4, ValueSize: 16,
		MaxEntries: 1})
	t.must("a BPF map", err)
	defer results.Close()
	// The value is the helper's result and the 8 bytes, from the stack at -16 on.
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "safevma_probe", Type: ebpf.Kprobe, License: "GPL",
		Instructions: reader(asm.FnProbeReadUser, addr,
			asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
			asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -24, asm.R1, asm.DWord),
			asm.LoadMapPtr(asm.R1, results.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -24),
			asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -16),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnMapUpdateElem.Call(),
			asm.Mov.Imm(asm.R0, 0), asm.Return())})
	t.must("loading a BPF program", err)
	defer program.Close()
	attached, err := u.file.Uprobe("code", program, &link.UprobeOptions{Address: u.offset, PID: os.Getpid()})
	t.must("attaching a uprobe", err)
	defer attached.Close()
	t.must("a first value", results.Put(uint32(0), [2]uint64{1, 0}))
	if a := call(u.code); a != Ran {
		t.stop(Failed, "the code under the uprobe: %s", a)
	}
	var value [2]uint64
	t.must("the value", results.Lookup(uint32(0), &value))
	if rc := int64(value[0]); rc != 0 {
		if rc > 0 {
			t.stop(Failed, "the uprobe did not fire")
		}
		return answerErrno(int32(-rc))
	}
	got := make([]byte, 8)
	binary.NativeEndian.PutUint64(got, value[1])
	return isWord(got, len(got), nil)
}

// frame returns the number of the page frame of b.
func (t *trial) frame(b []byte) uint64 { return t.frameOf(os.Getpid(), b) }

// frameOf is [trial.frame] in another process with the same addresses.
func (t *trial) frameOf(pid int, b []byte) uint64 {
	var r vma.Reader
	p, err := process.Default().Open(pid)
	t.must("a process", err)
	defer p.Close()
	var frame uint64
	err = r.Pages(p, sys.Addr(b), sys.Addr(b)+uint64(pageSize), func(_ uint64, page vma.Page) error {
		frame = page.Frame()
		return nil
	})
	t.must("pagemap", err)
	if frame == 0 {
		t.stop(Privilege, "page frames are hidden from this process (CAP_SYS_ADMIN)")
	}
	return frame
}

// stolenDescriptor is about who else can have the file.
func stolenDescriptor() Probe {
	return Probe{
		ID: "sm-getfd", Source: sourceAreas,
		Claim:      "a process that may attach to another can take its file of secret memory (pidfd_getfd) and read it",
		Experiment: "pidfd_getfd of the file of another process, mmap, load",
		Control:    "the same of a memfd, and of a descriptor that is not open",
		Oracle:     "the bytes: confirmed; EPERM: refuted", Needs: Needs{Privilege: "the right to attach (ptrace scope)",
			SecretPages: 1},
		run: func(t *trial) {
			t.secretFile(1).Close() // is there such a thing?
			t.count(1)
			hold, hangup := t.pipe()
			secret, plain := t.secretFile(1), t.memfd(t.exec(), 1)
			b := t.mapped(1, rw, shared, secret)
			t.secretStores(func() { fill(b) })
			pid, err := sys.ForkIdle(int(hold.Fd()))
			t.must("fork", err)
			defer hangup.Close()
			pidfd, err := sys.PidfdOpen(pid)
			t.must("pidfd_open", err)
			compare(t, experiment[int]{try: "pidfd_getfd, mmap, load", do: func(fd int) Answer {
				f, err := sys.PidfdGetfd(pidfd, fd)
				if err != nil {
					return answer(err)
				}
				defer f.Close()
				return hasWord(t.mapped(1, sys.ProtRead, shared, f))
			},
				on: "a file of secret memory", subject: int(secret.Fd()), confirms: []Answer{TheBytes},
				refutes: []Answer{"EPERM"},
				controls: []control[int]{{"a memfd", int(plain.Fd()), TheBytes},
					{"a descriptor that is not open", 1 << 16, "EBADF"}}})
		},
	}
}
