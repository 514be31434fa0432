package probe

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/vma"
)

func sealingProbes() []Probe {
	return slices.Concat(msealProbes(), mdweProbes(), guardProbes(), readOnlyProbes(), pkeyProbes(), uffdProbes())
}

// readOnlyProbes are about data that others, and the process itself, are to read alone.
func readOnlyProbes() []Probe {
	const procMem = "proc_pid_mem(5); Documentation/admin-guide/kernel-parameters.txt, proc_mem.force_override"
	sealedShared := func(t *trial, flags int) []byte {
		f := t.sealed(1, sys.SealWrite|sys.SealShrink|sys.SealGrow|sys.SealSeal)
		b, err := sys.Mmap(pageSize, sys.ProtRead, flags, int(f.Fd()), 0)
		if errors.Is(err, syscall.EPERM) {
			t.stop(Missing, "mmap(PROT_READ, MAP_SHARED) of a memfd with F_SEAL_WRITE: EPERM")
		}
		t.must("mmap", err)
		return b
	}
	byMem := func(id, claim, on, source string, confirms, refutes Answer, good Outcome, make func(t *trial) []byte) Probe {
		return Probe{
			ID: id, Subject: Sealing, Source: source, Claim: claim, Requirement: "SV-INT-01", Good: good,
			Experiment: "write to /proc/self/mem on " + on,
			Control:    "the same on writable memory, and where nothing is mapped",
			Oracle:     string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
			Remedy:     "Use a shared mapping of a write-sealed memfd, or boot with proc_mem.force_override=never.",
			run: func(t *trial) {
				compare(t, experiment[[]byte]{try: "write to /proc/self/mem", do: t.writeMem, on: on, subject: make(t),
					confirms: []Answer{confirms}, refutes: []Answer{refutes},
					controls: []control[[]byte]{{"a writable anonymous page", t.anon(1), OK},
						{"an address with nothing mapped", nowhere(), "EIO"}}})
			},
		}
	}
	return []Probe{
		byMem("ro-anon-mem", "read-only private memory can be written by /proc/self/mem", "a read-only anonymous page",
			procMem, OK, "EIO", Refuted,
			func(t *trial) []byte { return t.protected(1, sys.ProtRead) }),
		byMem("ro-seal-mem", "a shared read-only mapping of a write-sealed memfd can't be written by /proc/self/mem",
			"a shared mapping of a write-sealed memfd", manSeals, "EIO", OK, Confirmed,
			func(t *trial) []byte { return sealedShared(t, shared) }),
		byMem("ro-seal-private-mem",
			"a private read-only mapping of a write-sealed memfd can't be written by /proc/self/mem", "a private mapping of a write-sealed memfd", manSeals, "EIO", OK, Confirmed,
			func(t *trial) []byte { return sealedShared(t, private) }),
		{
			ID: "ro-seal-mprotect", Subject: Sealing, Source: manSeals, Requirement: "SV-INT-01",
			Claim:      "a shared read-only mapping of a write-sealed memfd can't become writable",
			Experiment: "mprotect(PROT_READ|PROT_WRITE) of it", Control: "the same of a mapping of a memfd without seals",
			Oracle: "EACCES: confirmed; ok: refuted",
			run: func(t *trial) {
				compare(t, experiment[[]byte]{try: "mprotect(PROT_READ|PROT_WRITE)",
					do: func(b []byte) Answer { return answer(sys.Mprotect(b, rw)) },
					on: "a shared mapping of a write-sealed memfd", subject: sealedShared(t, shared),
					confirms: []Answer{"EACCES"}, refutes: []Answer{OK},
					controls: []control[[]byte]{{"a shared mapping of a memfd without seals",
						t.mapped(1, sys.ProtRead, shared, t.memfd(t.exec(), 1)), OK}}})
			},
		},
	}
}

// pkeyProbes are about protection keys, or the lack of them.
func pkeyProbes() []Probe {
	keyed := func(t *trial, rights int) []byte {
		key, err := sys.PkeyAlloc(rights)
		if err != nil {
			t.stop(Missing, "pkey_alloc: %s (no protection keys here)", answer(err))
		}
		b := t.anon(1)
		t.must("pkey_mprotect", sys.PkeyMprotect(b, rw, key))
		return b
	}
	denies := func(id, claim, try string, confirms, refutes []Answer, free Answer, do func(*trial, []byte) Answer) Probe {
		return Probe{
			ID: id, Subject: Sealing, Since: "4.9", Source: "pkeys(7)", Claim: claim, Requirement: "SV-INT-02",
			Experiment: try + " on memory whose key denies writing to the thread",
			Control:    "the same on memory without a key",
			Oracle:     join(confirms) + ": confirmed; " + join(refutes) + ": refuted",
			run: func(t *trial) {
				compare(t, experiment[[]byte]{try: try, do: func(b []byte) Answer { return do(t, b) },
					on: "memory whose key denies writing", subject: keyed(t, sys.PkeyDisableWrite),
					confirms: confirms, refutes: refutes,
					controls: []control[[]byte]{{"an anonymous page", t.anon(1), free},
						{"an address with nothing mapped", nowhere(), confirmsNowhere(try)}}})
			},
		}
	}
	remote := denies("pk-remote", "a protection key does not stop process_vm_writev, which does not ask the thread's rights",
		"process_vm_writev", []Answer{taken}, []Answer{"EFAULT"}, taken,
		func(_ *trial, b []byte) Answer {
			return accepted(sys.ProcessVMWrite(os.Getpid(), []byte{1}, sys.Addr(b)))
		})
	remote.Good = Refuted
	return []Probe{
		{
			ID: "pk-none", Row: "PKEY-NONE", Subject: Sealing, Since: "4.9",
			Source:     "pkey_alloc(2): ENOSPC where the processor has no protection keys",
			Claim:      "pkey_alloc gives ENOSPC where there are no protection keys, from the first call on",
			Experiment: "pkey_alloc, the first and the second of a process, on a machine without",
			Control:    "pkey_mprotect with the key -1, which every machine has",
			Oracle:     "ENOSPC: confirmed; EINVAL: refuted",
			run:        pkeyNone,
		},
		denies("pk-store", "a thread can't store where its key denies it", "store", []Answer{Fault}, []Answer{OK}, OK,
			func(_ *trial, b []byte) Answer { return store(b) }),
		denies("pk-read", "the kernel asks the thread's rights when it copies to its memory (read(2))",
			"read of a pipe into it", []Answer{"EFAULT"}, []Answer{taken}, taken,
			func(t *trial, b []byte) Answer {
				r, w := t.pipe()
				sys.Write(w, []byte(word))
				return accepted(sys.Read(r, b[:8]))
			}),
		remote,
	}
}

func confirmsNowhere(try string) Answer {
	if try == "store" {
		return Fault
	}
	return "EFAULT"
}

// uffdProbes are about write protection by userfaultfd.
func uffdProbes() []Probe {
	protected := func(t *trial, features uint64, b []byte) *sys.Userfaultfd {
		u, err := sys.NewUserfaultfd(features)
		if errors.Is(err, syscall.EINVAL) {
			t.stop(Missing, "%v (this kernel lacks features %#x)", err, features)
		}
		t.must("userfaultfd", err)
		t.must("register", u.RegisterWP(b))
		t.must("write-protect", u.WriteProtect(b, true))
		return u
	}
	tracked := func(id, claim, try string, write func(t *trial, b []byte)) Probe {
		return Probe{
			ID: id, Subject: Sealing, Since: "6.7",
			Source:     "userfaultfd(2), UFFD_FEATURE_WP_ASYNC; Documentation/admin-guide/mm/pagemap.rst, PAGEMAP_SCAN",
			Claim:      claim,
			Experiment: try + " to a page under asynchronous write protection, then PAGEMAP_SCAN",
			Control:    "a page that is not written",
			Oracle:     "written: confirmed; not written: refuted", Requirement: "SV-INT-02",
			run: func(t *trial) {
				b := t.anon(2)
				defer protected(t, sys.UffdFeatureWP|sys.UffdFeatureWPAsync, b).Close()
				write(t, b[:pageSize])
				compare(t, experiment[[]byte]{try: "PAGEMAP_SCAN", do: t.written, on: "a page that was written by " + try,
					subject:  b[:pageSize],
					confirms: []Answer{"written"}, refutes: []Answer{"not written"},
					controls: []control[[]byte]{{"a page that was not", b[pageSize:], "not written"}}})
			},
		}
	}
	return []Probe{
		{
			ID: "uffd-wp-blocks", Subject: Sealing, Since: "5.7", Source: "userfaultfd(2), UFFDIO_WRITEPROTECT",
			Requirement: "SV-INT-02",
			Claim:       "a store to memory that userfaultfd protects waits until the protection ends",
			Experiment:  "a store by another thread, until it is done or the userfaultfd tells of it", Control: "a store to memory beside it",
			Oracle: "waits: confirmed; stored: refuted",
			run: func(t *trial) {
				b, free := t.anon(1), t.anon(1)
				u := protected(t, sys.UffdFeatureWP, b)
				compare(t, experiment[[]byte]{try: "store by another thread", do: func(b []byte) Answer {
					done := make(chan struct{})
					go func() { store(b); close(done) }()
					return t.storedOrWaits(u, sys.Addr(b), done)
				},
					on: "protected memory", subject: b, confirms: []Answer{"waits"}, refutes: []Answer{"stored"},
					controls: []control[[]byte]{{"other memory", free, "stored"}}})
				t.must("end of the protection", u.WriteProtect(b, false))
			},
		},
		tracked("uffd-wp-store", "asynchronous write protection finds what the processor has written", "a store",
			func(_ *trial, b []byte) { store(b) }),
		tracked("uffd-wp-kernel", "asynchronous write protection finds what the kernel has written for a system call",
			"read(2)", func(t *trial, b []byte) {
				r, w := t.pipe()
				sys.Write(w, []byte(word))
				_, err := sys.Read(r, b[:8])
				t.must("read", err)
			}),
	}
}

// storedOrWaits says what becomes of a store that another thread makes, however late that runs.
func (t *trial) storedOrWaits(u *sys.Userfaultfd, to uint64, done <-chan struct{}) Answer {
	for end := time.Now().Add(DefaultLimit / 4); time.Now().Before(end); {
		select {
		case <-done:
			return "stored"
		default:
		}
		addr, faulted, err := u.Fault(10 * time.Millisecond)
		t.must("the userfaultfd", err)
		if faulted && addr == to {
			return "waits"
		}
	}
	return "neither stored nor told of"
}

// written asks the kernel which pages were written since they were protected.
func (t *trial) written(b []byte) Answer {
	var r vma.Reader
	p := t.own()
	defer p.Close()
	a := Answer("not written")
	err := r.Scan(p, sys.Addr(b), sys.Addr(b)+uint64(len(b)), vma.Written, func(vma.Run) error { a = "written"; return nil })
	if errors.Is(err, syscall.ENOTTY) {
		t.stop(Missing, "PAGEMAP_SCAN: ENOTTY (before Linux 6.7)")
	}
	t.must("PAGEMAP_SCAN", err)
	return a
}

// pkeyNone makes its calls in forked children: what the first call of a process says is not
// what the others say.
func pkeyNone(t *trial) {
	page := t.anon(1)
	alloc := sys.RawCall{Number: sys.CallPkeyAlloc}
	plain := sys.RawCall{Number: sys.CallPkeyMprotect, Args: [6]uintptr{uintptr(sys.Addr(page)), uintptr(pageSize), uintptr(rw), ^uintptr(0)}}
	do := func(calls []sys.RawCall) Answer { return t.childCalls(slices.Clone(calls)...) }
	if do([]sys.RawCall{alloc}) == OK {
		t.stop(Missing, "this machine has protection keys")
	}
	for _, one := range []struct {
		on    string
		calls []sys.RawCall
	}{{"the first pkey_alloc of a process", []sys.RawCall{alloc}}, {"the second pkey_alloc of a process", []sys.RawCall{alloc, alloc}}} {
		compare(t, experiment[[]sys.RawCall]{try: "a call for a protection key", do: do, on: one.on, subject: one.calls,
			confirms: []Answer{"ENOSPC"}, refutes: []Answer{"EINVAL"},
			controls: []control[[]sys.RawCall]{{"pkey_mprotect, key -1", []sys.RawCall{plain}, OK}}})
	}
}
