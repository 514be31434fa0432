package probe

import (
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

const manSecret = "memfd_secret(2)"

// What memfd_secret(2) and its announcement say.
const (
	sourcePointers = manSecret + ": \"pointers to the region can't be passed to system calls\""
	sourceKernel   = "LWN 865256: \"inaccessible to anybody else — kernel included\""
	sourceAreas    = manSecret + ": \"the memory areas … are visible only to the processes that have access to the file descriptor\""
)

func secretProbes() []Probe {
	all := slices.Concat(secretReachProbes(), secretCopyProbes(), secretFileProbes(), secretLifeProbes(),
		secretKernelProbes())
	for i := range all {
		all[i].Subject = Secret
		if all[i].Since == "" {
			all[i].Since = "5.14"
		}
		if all[i].Needs.SecretPages == 0 {
			all[i].Needs.SecretPages = 1
		}
	}
	return all
}

// secretFile makes a file of secret memory, or stops the probe.
func (t *trial) secretFile(pages int) *os.File {
	f, err := sys.MemfdSecret()
	if errors.Is(err, syscall.ENOSYS) {
		t.stop(Missing, "memfd_secret: ENOSYS (no such call, secretmem.enable=0, or a linear map of big pages that can't change)")
	}
	t.must("memfd_secret", err)
	t.must("ftruncate", f.Truncate(int64(pages*pageSize)))
	return f
}

// secretUntouched maps secret memory of which no page exists yet.
func (t *trial) secretUntouched(pages int) []byte {
	return t.mapped(pages, rw, shared, t.secretFile(pages))
}

// secretPages maps secret memory that is filled.
func (t *trial) secretPages(pages int) []byte {
	b := t.secretUntouched(pages)
	t.count(pages)
	t.secretStores(func() { fill(b) })
	return b
}

// secretStores runs what stores to secret memory, or stops the probe where that is refused: by
// kernels that charge pages when they are touched.
func (t *trial) secretStores(stores func()) {
	if a := faulting(stores); a != OK {
		t.stop(Privilege, "a store to secret memory: %s: %s", a, memlock)
	}
}

// count notes pages that are about to be secret.
func (t *trial) count(pages int) {
	t.secret += pages
	t.tell(event{Secret: t.secret})
	if p, ok := Find(t.request.Probe); ok && t.secret > p.Needs.SecretPages {
		t.stop(Failed, "%d pages of secret memory, declared are %d", t.secret, p.Needs.SecretPages)
	}
}

// noAddress is one at which nothing is ever mapped: below what a process may map, and below
// where programs begin, which for arm64 is 0x10000.
const noAddress = 0x8000

// nowhere is memory at which nothing is ever mapped.
func nowhere() []byte { return sys.Bytes(noAddress, 0x1000) }

// reach is an attempt of the kernel to reach memory for somebody.
type reach struct {
	id, row, claim, source string
	try                    string
	fails                  Answer // how it is refused, exactly
	works                  Answer // what it gives on ordinary memory
	lost                   Answer // where nothing is mapped; empty: it can't be tried there
	needs                  Needs
	requirement            string
	do                     func(t *trial) func(b []byte) Answer
}

// probe makes a probe of secret memory with ordinary memory, and memory that is not there,
// as controls.
func (r reach) probe() Probe {
	p := Probe{
		ID: r.id, Row: r.row, Claim: r.claim, Source: r.source, Needs: r.needs, Requirement: r.requirement,
		Experiment: r.try + " on a page of secret memory",
		Control:    "the same on an anonymous page, and where nothing is mapped",
		Oracle:     string(r.fails) + ": confirmed; " + string(r.works) + ": refuted",
	}
	p.run = func(t *trial) {
		secret := t.secretPages(1)
		controls := []control[[]byte]{{"an anonymous page", t.anon(1), r.works}}
		if r.lost != "" {
			controls = append(controls, control[[]byte]{"an address with nothing mapped", nowhere(), r.lost})
		}
		compare(t, experiment[[]byte]{try: r.try, do: r.do(t), on: "a page of secret memory", subject: secret,
			confirms: []Answer{r.fails}, refutes: []Answer{r.works}, controls: controls})
	}
	return p
}

const taken Answer = "taken" // the memory was accepted

// accepted is what an attempt gives that moves n bytes.
func accepted(n int, err error) Answer {
	if err != nil {
		return answer(err)
	}
	if n <= 0 {
		return "nothing"
	}
	return taken
}

// secretReachProbes are about paths that take the pages themselves (get_user_pages).
func secretReachProbes() []Probe {
	self := os.Getpid
	all := []reach{{
		id: "sm-vm-readv", try: "process_vm_readv", fails: "EFAULT", works: TheBytes, lost: "EFAULT",
		requirement: "SV-LIN-01",
		do: func(*trial) func([]byte) Answer {
			return func(b []byte) Answer {
				got := make([]byte, len(word))
				n, err := sys.ProcessVMRead(self(), got, sys.Addr(b))
				return isWord(got, n, err)
			}
		},
	}, {
		id: "sm-vm-writev", try: "process_vm_writev", fails: "EFAULT", works: taken, lost: "EFAULT",
		requirement: "SV-LIN-01",
		do: func(*trial) func([]byte) Answer {
			return func(b []byte) Answer { return accepted(sys.ProcessVMWrite(self(), []byte{1}, sys.Addr(b))) }
		},
	}, {
		id: "sm-proc-mem-read", try: "read of /proc/self/mem", fails: "EIO", works: TheBytes, lost: "EIO",
		requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			mem := t.memFile()
			return func(b []byte) Answer {
				got := make([]byte, len(word))
				n, err := sys.Pread(mem, got, int64(sys.Addr(b)))
				return isWord(got, n, err)
			}
		},
	}, {
		id: "sm-proc-mem-write", try: "write to /proc/self/mem", fails: "EIO", works: taken, lost: "EIO",
		requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			mem := t.memFile()
			return func(b []byte) Answer { return accepted(sys.Pwrite(mem, []byte{1}, int64(sys.Addr(b)))) }
		},
	}, {
		id: "sm-ptrace-peek", try: "ptrace(PTRACE_PEEKDATA) of a child that shares it", fails: "EIO", works: TheBytes,
		lost: "EIO", requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				return t.traced(func(pid int) Answer {
					got := make([]byte, len(word))
					n, err := syscall.PtracePeekData(pid, uintptr(sys.Addr(b)), got)
					return isWord(got, n, err)
				})
			}
		},
	}, {
		id: "sm-ptrace-poke", try: "ptrace(PTRACE_POKEDATA) of a child that shares it", fails: "EIO", works: taken,
		lost: "EIO", requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				return t.traced(func(pid int) Answer {
					return accepted(syscall.PtracePokeData(pid, uintptr(sys.Addr(b)), []byte(word)))
				})
			}
		},
	}, {
		id: "sm-vmsplice", try: "vmsplice to a pipe", fails: "EFAULT", works: taken, lost: "EFAULT",
		requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				_, w := t.pipe()
				return accepted(sys.Vmsplice(w, b[:8]))
			}
		},
	}, {
		id: "sm-direct-write", try: "write to a file that is open with O_DIRECT", fails: "EFAULT", works: taken,
		lost: "EFAULT", needs: Needs{Folder: true}, requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			f := t.direct()
			return func(b []byte) Answer { return accepted(sys.Pwrite(f, b[:4096], 0)) }
		},
	}, {
		id: "sm-direct-read", try: "read of a file that is open with O_DIRECT", fails: "EFAULT", works: taken,
		lost: "EFAULT", needs: Needs{Folder: true}, requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			f := t.direct()
			return func(b []byte) Answer { return accepted(sys.Pread(f, b[:4096], 0)) }
		},
	}, {
		id: "sm-uring-register", try: "io_uring_register(IORING_REGISTER_BUFFERS)", fails: "EFAULT", works: OK,
		lost: "EFAULT", requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				u := t.uring()
				defer u.Close()
				return answer(u.RegisterBuffer(b[:4096]))
			}
		},
	}, {
		id: "sm-zerocopy", try: "send on a TCP socket with MSG_ZEROCOPY", fails: "EFAULT", works: taken, lost: "EFAULT",
		requirement: "SV-LIN-01",
		do: func(t *trial) func([]byte) Answer {
			send := t.zeroCopy()
			return func(b []byte) Answer { return accepted(send(b[:8])) }
		},
	}, {
		id: "sm-futex-shared", try: "futex(FUTEX_WAIT), shared, on a word that is another one", fails: "EFAULT",
		works: "EAGAIN", lost: "EFAULT",
		do: func(*trial) func([]byte) Answer {
			return func(b []byte) Answer { return answer(sys.FutexWait(b, false, 1, 0)) }
		},
	}}
	probes := make([]Probe, len(all))
	for i := range all {
		all[i].row, all[i].source = "SM-GUP", sourceAreas
		all[i].claim = "secret memory can't be reached by " + all[i].try
		probes[i] = all[i].probe()
	}
	return probes
}

// direct opens a file past the page cache, one page long. It stops the probe where the file
// system takes the flag and copies all the same (tmpfs since Linux 6.6, btrfs as a fallback):
// what reaches the pages themselves refuses an odd address.
func (t *trial) direct() *os.File {
	t.file("direct", 1).Close()
	f, err := sys.OpenDirect(t.dir + "/direct")
	if errors.Is(err, syscall.EINVAL) {
		t.stop(Missing, "the file system of %s has no O_DIRECT", t.dir)
	}
	t.must("O_DIRECT", err)
	if a := accepted(sys.Pread(f, t.anon(2)[1:1+4096], 0)); a != "EINVAL" {
		t.stop(Missing, "the file system of %s copies in spite of O_DIRECT: a read to an odd address gave %s, not EINVAL", t.dir, a)
	}
	return f
}

func (t *trial) pipe() (r, w *os.File) {
	r, w, err := os.Pipe()
	t.must("pipe", err)
	return r, w
}

func (t *trial) uring() *sys.Uring {
	u, err := sys.NewUring()
	t.must("io_uring", err)
	return u
}

// traced stops a copy of this process under ptrace and looks at it.
func (t *trial) traced(look func(pid int) Answer) Answer {
	pid, end := t.forkedFor()
	defer end()
	t.must("PTRACE_ATTACH", syscall.PtraceAttach(pid))
	_, err := syscall.Wait4(pid, nil, 0, nil)
	t.must("wait for the tracee", err)
	return look(pid)
}
