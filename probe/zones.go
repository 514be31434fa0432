package probe

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

func zoneProbes() []Probe {
	all := append(userReachProbes(), hiddenProbes()...)
	all = append(all, linearReadable(), devMem(), kcore())
	for i := range all {
		all[i].Subject = Zones
	}
	return all
}

// zone is a part of the kernel's address space.
type zone struct {
	id, name string
	// reads says that the kernel can be seen to read at the address.
	reads bool
	at    func(t *trial) uint64
}

// userReachProbes are about the processor in user mode, and system calls of the process.
func userReachProbes() []Probe {
	var all []Probe
	for _, z := range kernelZones {
		needs := Needs{}
		if z.reads {
			needs.Privilege = "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYSLOG, to find out where it is"
		}
		all = append(all, Probe{
			ID: "kz-user-" + z.id, Needs: needs, Source: docZones, Requirement: "SV-KCT-01",
			Claim:      "a process can't load from the kernel's " + z.name + ", nor have a system call read it as its own memory",
			Experiment: "a load in a forked child; write(2) to a pipe from there, at an address that the kernel can read, as far as it is safe to try",
			Control:    "the same of an own page",
			Oracle:     "SIGSEGV and EFAULT: confirmed; anything read: refuted",
			run: func(t *trial) {
				at, page := z.at(t), t.anon(1)
				t.note("address", "%#x", at)
				if z.reads {
					t.kernelReads(at)
				}
				own := sys.Addr(page)
				compare(t, experiment[uint64]{try: "load", do: func(addr uint64) Answer { return t.loadsAt(addr) },
					on: "the " + z.name, subject: at, confirms: []Answer{segv}, refutes: []Answer{OK},
					controls: []control[uint64]{{"an own page", own, OK}}})
				compare(t, experiment[uint64]{try: "write(2) to a pipe", do: func(addr uint64) Answer {
					_, w := t.pipe()
					return t.childCalls(sys.RawCall{Number: sys.CallWrite, Args: [6]uintptr{w.Fd(), uintptr(addr), 8}})
				},
					on: "the " + z.name, subject: at, confirms: []Answer{"EFAULT"}, refutes: []Answer{OK},
					controls: []control[uint64]{{"an own page", own, OK}}})
			},
		})
	}
	return all
}

// kernelReads stops the probe where the kernel itself can't read an address: a process that
// can't, either, would show nothing.
func (t *trial) kernelReads(at uint64) {
	if rc := int32(t.runOnce(reader(asm.FnProbeReadKernel, at, asm.Return()))); rc < 0 {
		t.stop(Missing, "the kernel itself can't read %#x: %s", at, answerErrno(-rc))
	}
}

// loadsAt has a forked child load a byte.
func (t *trial) loadsAt(addr uint64) Answer {
	return t.childCalls(sys.RawCall{Number: sys.CallLoad, Args: [6]uintptr{uintptr(addr)}})
}

func init() {
	stages["look"] = func(t *trial, args []string) []Answer {
		if args[1] == "without" {
			if err := sys.BecomeUser(strangest); err != nil && os.Geteuid() == 0 {
				return []Answer{answer(err)}
			}
			if err := sys.DropCapabilities(); err != nil {
				return []Answer{answer(err)}
			}
			if err := sys.Dumpable(); err != nil { // what changes its user may not look at itself
				return []Answer{answer(err)}
			}
		}
		return []Answer{looks[args[0]](t)}
	}
}

// strangest is the user that no distribution hands out.
const strangest = 1<<32 - 2

// looks are readings of kernel addresses.
var looks = map[string]func(*trial) Answer{
	"kallsyms": func(*trial) Answer {
		return addressIn("/proc/kallsyms", func(line string) string { a, _, _ := strings.Cut(line, " "); return a })
	},
	"iomem": func(*trial) Answer {
		return addressIn("/proc/iomem", func(line string) string {
			_, last, _ := strings.Cut(strings.TrimSpace(line), "-")
			last, _, _ = strings.Cut(last, " ")
			return last
		})
	},
	"vmallocinfo": func(*trial) Answer {
		return addressIn("/proc/vmallocinfo", func(line string) string {
			a, _, _ := strings.Cut(strings.TrimPrefix(line, "0x"), "-")
			return a
		})
	},
	"kpageflags": func(*trial) Answer { return opens("/proc/kpageflags") },
	"slabinfo":   func(*trial) Answer { return opens("/proc/slabinfo") },
	"pagemap":    func(t *trial) Answer { return t.frameShown() },
	"kcore":      func(*trial) Answer { return opens("/proc/kcore") },
}

func opens(path string) Answer {
	f, err := os.Open(path)
	if err != nil {
		return answer(err)
	}
	defer f.Close()
	if _, err := sys.Read(f, make([]byte, 8)); err != nil {
		return answer(err)
	}
	return "readable"
}

// addressIn says whether the first lines of a file show an address that is not 0.
func addressIn(path string, field func(line string) string) Answer {
	f, err := os.Open(path)
	if err != nil {
		return answer(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 0; n < 100 && lines.Scan(); n++ {
		if addr, err := strconv.ParseUint(field(lines.Text()), 16, 64); err == nil && addr != 0 {
			return "addresses"
		}
	}
	if err := lines.Err(); err != nil {
		return answer(err)
	}
	return "zeroes"
}

func (t *trial) frameShown() Answer {
	page := t.anon(1)
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return answer(err)
	}
	defer f.Close()
	entry := make([]byte, 8)
	if _, err := sys.Pread(f, entry, int64(sys.Addr(page))/int64(pageSize)*8); err != nil {
		return answer(err)
	}
	for _, b := range entry[:6] {
		if b != 0 {
			return "addresses"
		}
	}
	return "zeroes"
}

// hiddenProbes are about what a process without privileges sees.
func hiddenProbes() []Probe {
	hidden := func(id, claim, source, path string, seen Answer, confirms, refutes []Answer) Probe {
		return barred(Probe{ID: "kz-hidden-" + id, Source: source, Claim: claim, Requirement: "SV-KCT-01", Severity: guarantee.Low,
			Remedy: "Set kernel.kptr_restrict=1 and kernel.dmesg_restrict=1; leave /proc as it is."},
			"read of "+path, id, seen, confirms, refutes)
	}
	refused := []Answer{"EACCES", "EPERM"}
	return []Probe{
		hidden("kallsyms", "the kernel's symbols have no addresses for a process without CAP_SYSLOG",
			"Documentation/admin-guide/sysctl/kernel.rst, kptr_restrict", "/proc/kallsyms", "addresses", []Answer{"zeroes"}, []Answer{"addresses"}),
		hidden("iomem", "the layout of physical memory has no addresses for a process without CAP_SYS_ADMIN",
			"Linux kernel/resource.c", "/proc/iomem", "addresses", []Answer{"zeroes"}, []Answer{"addresses"}),
		hidden("vmallocinfo", "the list of vmalloc areas can't be read without privileges", "proc_vmallocinfo(5)",
			"/proc/vmallocinfo", "addresses", append(refused, "zeroes"), []Answer{"addresses"}),
		hidden("pagemap", "page frame numbers are hidden from a process without CAP_SYS_ADMIN",
			"Documentation/admin-guide/mm/pagemap.rst", "/proc/self/pagemap", "addresses", []Answer{"zeroes"}, []Answer{"addresses"}),
		hidden("kpageflags", "the flags of page frames can't be read without privileges",
			"Documentation/admin-guide/mm/pagemap.rst", "/proc/kpageflags", "readable", refused, []Answer{"readable"}),
		hidden("slabinfo", "the list of slab caches can't be read without privileges", "slabinfo(5)", "/proc/slabinfo",
			"readable", refused, []Answer{"readable"}),
	}
}

// linearReadable is the other side of secret memory.
func linearReadable() Probe {
	return Probe{
		ID: "kz-linear-bpf", Source: "Documentation/bpf; bpf-helpers(7), bpf_probe_read_kernel", Requirement: "SV-KCT-01",
		Good: Refuted, Needs: Needs{Privilege: "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYSLOG", SecretPages: 1},
		Claim:      "a BPF program reads any page frame by the kernel's linear map, of whatever process",
		Experiment: "bpf_probe_read_kernel of a page frame that another process alone has",
		Control:    "the same of a page of secret memory, which is not in the linear map, and of an own page",
		Oracle:     "the bytes: confirmed; EFAULT or EPERM: refuted",
		Remedy:     "Boot with lockdown=confidentiality; keep critical data in secret memory.",
		run: func(t *trial) {
			base := t.linearMap()
			t.note("the linear map has page frame 0 at", "%#x", base)
			secret := t.secretPages(1)
			compare(t, experiment[uint64]{try: "bpf_probe_read_kernel", do: func(frame uint64) Answer {
				return t.bpfReads(asm.FnProbeReadKernel, base+frame*uint64(pageSize))
			},
				on: "a page of another process", subject: t.foreignFrame(), confirms: []Answer{TheBytes},
				refutes: []Answer{"EFAULT", "EPERM"},
				controls: []control[uint64]{{"an own page", t.frame(t.anon(1)), TheBytes},
					{"a page of secret memory", t.frame(secret), "EFAULT"}}})
		},
	}
}

// foreignFrame is the page frame of a filled page that this process has no more, and a child of it
// has: of a page that both had, the one that is written to is a copy.
func (t *trial) foreignFrame() uint64 {
	b := t.anon(1)
	child := t.forkedIdle()
	frame := t.frame(b)
	b[0] = 0
	if own, its := t.frame(b), t.frameOf(child, b); own == frame || its != frame {
		t.stop(Failed, "after the copy on write the parent has frame %#x and the child %#x of %#x", own, its, frame)
	}
	return frame
}

// devMem is the oldest way to physical memory.
func devMem() Probe {
	return Probe{
		ID: "kz-devmem", Source: "mem(4); Linux CONFIG_STRICT_DEVMEM", Requirement: "SV-KCT-01",
		Needs:      Needs{Privilege: "root"},
		Claim:      "RAM can't be read through /dev/mem",
		Experiment: "read of the page frame of an own page", Control: "read of the first page of memory, which a PC needs",
		Oracle: "EPERM: confirmed; the bytes: refuted", Remedy: "Build the kernel with STRICT_DEVMEM, or without DEVMEM.",
		run: func(t *trial) {
			f, err := os.Open("/dev/mem")
			if err != nil && os.IsPermission(err) && os.Geteuid() == 0 {
				t.stop(Privilege, "%v (lockdown, or no CAP_SYS_RAWIO)", err)
			}
			t.must("/dev/mem", err)
			own := t.frame(t.anon(1))
			compare(t, experiment[uint64]{try: "read of /dev/mem", do: func(frame uint64) Answer {
				got := make([]byte, len(word))
				n, err := sys.Pread(f, got, int64(frame)*int64(pageSize))
				if frame == 0 && err == nil && n == len(got) {
					return OK
				}
				return isWord(got, n, err)
			},
				on: "the frame of an own page", subject: own, confirms: []Answer{"EPERM"}, refutes: []Answer{TheBytes},
				controls: []control[uint64]{{"the first page", 0, OK}}})
		},
	}
}

func kcore() Probe {
	return barred(Probe{ID: "kz-kcore", Source: "proc_kcore(5)", Requirement: "SV-KCT-01",
		Claim: "/proc/kcore can't be opened without CAP_SYS_RAWIO"},
		"read of /proc/kcore", "kcore", "readable", []Answer{"EACCES", "EPERM"}, []Answer{"readable"})
}
