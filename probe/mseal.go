package probe

import (
	"cmp"
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

const docMseal = "Documentation/userspace-api/mseal.rst"

// msealed seals, or stops the probe where the kernel has no mseal.
func (t *trial) msealed(b []byte) []byte {
	err := sys.Mseal(b)
	if errors.Is(err, syscall.ENOSYS) {
		t.stop(Missing, "mseal: ENOSYS (before Linux 6.10, or not 64-bit)")
	}
	t.must("mseal", err)
	return b
}

// msealTry is an attempt on sealed memory and on the same memory without a seal.
type msealTry struct {
	id, row, claim    string
	source            string // empty: [docMseal]
	try, on           string
	make              func(t *trial) []byte // what is sealed, and what is not
	confirms, refutes Answer
	unsealed          Answer
	requirement       string
	good              Outcome
	remedy            string
	do                func(t *trial, b []byte) Answer
	// free, where set, makes another object for the control than that without a seal.
	free   func(t *trial) []byte
	freeOn string
	// also is a further control.
	also func(t *trial) []control[[]byte]
}

func (m msealTry) probe() Probe {
	return Probe{
		ID: m.id, Row: m.row, Subject: Sealing, Since: "6.10", Source: cmp.Or(m.source, docMseal), Claim: m.claim, Requirement: m.requirement,
		Good: m.good, Remedy: m.remedy,
		Experiment: m.try + " on " + m.on + ", sealed", Control: "the same without a seal",
		Oracle: string(m.confirms) + ": confirmed; " + string(m.refutes) + ": refuted",
		run: func(t *trial) {
			sealed := t.msealed(m.make(t))
			controls := []control[[]byte]{{m.on + ", not sealed", m.make(t), m.unsealed}}
			if m.free != nil {
				controls = []control[[]byte]{{m.freeOn, m.free(t), m.unsealed}}
			}
			if m.also != nil {
				controls = append(controls, m.also(t)...)
			}
			compare(t, experiment[[]byte]{try: m.try, do: func(b []byte) Answer { return m.do(t, b) }, on: m.on + ", sealed",
				subject:  sealed,
				confirms: []Answer{m.confirms}, refutes: []Answer{m.refutes}, controls: controls})
		},
	}
}

func anonPage(prot int) func(*trial) []byte {
	return func(t *trial) []byte { return t.protected(1, prot) }
}

func msealProbes() []Probe {
	readOnly, writable := anonPage(sys.ProtRead), anonPage(rw)
	const ro, wr = "read-only anonymous memory", "writable anonymous memory"
	all := []msealTry{
		{id: "ms-munmap", claim: "sealed memory can't be unmapped", try: "munmap", on: wr, make: writable, confirms: "EPERM",
			refutes: OK, unsealed: OK, requirement: "SV-TOP-01",
			do: func(_ *trial, b []byte) Answer { return answer(sys.Munmap(b)) }},
		{id: "ms-mprotect", claim: "the protection of sealed memory can't be changed", try: "mprotect(PROT_READ|PROT_WRITE)",
			on: ro, make: readOnly, confirms: "EPERM", refutes: OK, unsealed: OK, requirement: "SV-TOP-01",
			do: func(_ *trial, b []byte) Answer { return answer(sys.Mprotect(b, rw)) }},
		{id: "ms-mprotect-same",
			claim: "mprotect to the same protection is refused on sealed memory, too: a harmless way to see a seal",
			try:   "mprotect(PROT_READ)", on: ro, make: readOnly, confirms: "EPERM", refutes: OK, unsealed: OK,
			do: func(_ *trial, b []byte) Answer { return answer(sys.Mprotect(b, sys.ProtRead)) }},
		{id: "ms-mmap-fixed", claim: "sealed memory can't be mapped over", try: "mmap(MAP_FIXED)", on: wr, make: writable,
			confirms: "EPERM", refutes: OK, unsealed: OK, requirement: "SV-TOP-01",
			do: func(_ *trial, b []byte) Answer { return answer(sys.MmapAt(b, rw, private|sys.MapAnonymous, -1, 0)) }},
		{id: "ms-mremap-grow", claim: "sealed memory can't be resized or moved", try: "mremap to two pages (MREMAP_MAYMOVE)",
			on: wr, make: writable, confirms: "EPERM", refutes: OK, unsealed: OK, requirement: "SV-TOP-01",
			do: func(_ *trial, b []byte) Answer {
				_, err := sys.Mremap(b, 2*pageSize, sys.MremapMaymove, 0)
				return answer(err)
			}},
		{id: "ms-mremap-onto", claim: "other memory can't be moved onto sealed memory",
			try: "mremap(MREMAP_FIXED) of another page onto it", on: wr, make: writable, confirms: "EPERM", refutes: OK,
			unsealed: OK, requirement: "SV-TOP-01",
			do: func(t *trial, b []byte) Answer {
				_, err := sys.Mremap(t.anon(1), pageSize, sys.MremapMaymove|sys.MremapFixed, sys.Addr(b))
				return answer(err)
			}},
		{id: "ms-flag", source: "Documentation/filesystems/proc.rst, VmFlags: sl", claim: "the kernel shows seals in VmFlags", try: "VmFlags", on: wr, make: writable, confirms: "sl",
			refutes: "no sl", unsealed: "no sl",
			do: func(t *trial, b []byte) Answer { return t.hasFlag(b, "sl") }},
		{id: "ms-dontneed-ro", claim: "the content of sealed memory that can't be written can't be discarded",
			try: "madvise(MADV_DONTNEED)", on: ro, make: readOnly, confirms: "EPERM", refutes: OK, unsealed: OK,
			requirement: "SV-INT-01",
			do:          func(_ *trial, b []byte) Answer { return answer(sys.Madvise(b, sys.MadvDontneed)) }},
		{id: "ms-guard-ro", source: "Linux mm/mseal.c: is_madv_discard, later in mm/madvise.c", claim: "no guard region can be put into sealed memory that can't be written",
			try: "madvise(MADV_GUARD_INSTALL)", on: ro, make: readOnly, confirms: "EPERM", refutes: OK, unsealed: OK,
			do:   func(_ *trial, b []byte) Answer { return answer(sys.Madvise(b, sys.MadvGuardInstall)) },
			also: func(t *trial) []control[[]byte] { t.guarded(t.anon(1)); return nil }},
		{id: "ms-munlock", row: "SEAL-LOCK", claim: "sealed memory stays locked (the document does not say)",
			try: "munlock, VmFlags", on: wr + ", locked", confirms: "lo", refutes: "no lo", unsealed: "no lo",
			requirement: "SV-RES-02",
			remedy:      "A seal does not keep memory locked: deny munlock and munlockall with seccomp.",
			make: func(t *trial) []byte {
				b := t.anon(1)
				t.must("mlock", sys.Mlock(b))
				return b
			},
			do: func(t *trial, b []byte) Answer {
				if err := sys.Munlock(lastPage(b)); err != nil {
					return answer(err)
				}
				return t.hasFlag(b, "lo")
			},
			also: func(t *trial) []control[[]byte] {
				b := t.anon(2)
				t.must("mlock", sys.Mlock(b))
				return []control[[]byte]{{"locked memory before the page that is unlocked", b, "lo"}}
			}},
		{id: "ms-dodump", row: "SEAL-LOCK",
			claim: "sealed memory that is left out of core dumps stays so (the document does not say)",
			try:   "madvise(MADV_DODUMP), VmFlags", on: ro + " with MADV_DONTDUMP", confirms: "dd", refutes: "no dd",
			unsealed: "no dd",
			make: func(t *trial) []byte {
				b := t.protected(1, sys.ProtRead)
				t.must("MADV_DONTDUMP", sys.Madvise(b, sys.MadvDontdump))
				return b
			},
			do: func(t *trial, b []byte) Answer {
				if err := sys.Madvise(lastPage(b), sys.MadvDodump); err != nil {
					return answer(err)
				}
				return t.hasFlag(b, "dd")
			},
			also: func(t *trial) []control[[]byte] {
				b := t.protected(2, sys.ProtRead)
				t.must("MADV_DONTDUMP", sys.Madvise(b, sys.MadvDontdump))
				return []control[[]byte]{{"memory with MADV_DONTDUMP before the page of the advice", b, "dd"}}
			}},
		{id: "ms-proc-mem", row: "SEAL-CONTENT",
			claim: "the content of sealed read-only memory can be changed by /proc/self/mem: a seal does not make it immutable",
			try:   "write to /proc/self/mem", on: ro, make: readOnly,
			confirms: OK, refutes: "EIO", unsealed: OK, requirement: "SV-INT-01", good: Refuted,
			remedy: "Use a shared mapping of a write-sealed memfd, or boot with proc_mem.force_override=never.",
			// Not the same memory without a seal: where that can't be written, either, it is no
			// seal that refuses it.
			free: writable, freeOn: wr,
			do: func(t *trial, b []byte) Answer { return t.writeMem(b) }, also: nothingMapped("EIO")},
	}
	var probes []Probe
	for _, m := range all {
		probes = append(probes, m.probe())
	}
	probes = append(probes, msealPageout())
	return append(probes, msealContent()...)
}

// msealPageout is about anonymous memory, of which without swap no more than the answer of the call
// is to be seen, and about clean pages of a file, which leave memory on any host.
func msealPageout() Probe {
	const pages, gone = 4, "0 of 4 pages"
	anon := msealTry{id: "ms-pageout", row: "SEAL-LOCK",
		claim: "madvise(MADV_PAGEOUT), by which a process has its memory taken away, is refused on sealed memory (the document does not say)",
		try:   "madvise(MADV_PAGEOUT)", on: "read-only anonymous memory", make: anonPage(sys.ProtRead), confirms: "EPERM",
		refutes: OK, unsealed: OK, requirement: "SV-RES-02",
		remedy: "Deny madvise(MADV_PAGEOUT, MADV_COLD) and process_madvise with seccomp.",
		do:     func(_ *trial, b []byte) Answer { return answer(sys.Madvise(b, sys.MadvPageout)) },
		also: func(t *trial) []control[[]byte] {
			locked := t.protected(1, sys.ProtRead)
			t.must("mlock", sys.Mlock(locked))
			return []control[[]byte]{{"locked memory", locked, "EINVAL"}}
		},
	}
	file := msealTry{try: "madvise(MADV_PAGEOUT), mincore", on: "a read-only mapping of a file", confirms: "EPERM", refutes: gone,
		unsealed: gone,
		make: func(t *trial) []byte {
			f, err := os.CreateTemp(t.dir, "file")
			t.must("a file", err)
			if magic, err := sys.FileSystem(f); err != nil || magic == sys.MagicTmpfs || magic == sys.MagicRamfs {
				t.stop(Missing, "%s is in memory, where files have nowhere to go: set TMPDIR to a folder on a disk", t.dir)
			}
			// A page can be taken once it is on the kernel's list, to which each processor adds
			// some at a time (mm/swap.c): the pages behind push those that matter there.
			b := make([]byte, 64*pageSize)
			fill(b)
			_, err = f.Write(b)
			t.must("write to a file", err)
			t.must("fsync", f.Sync()) // dirty pages stay
			b = t.mapped(pages, sys.ProtRead, shared, f)
			if a := t.cached(b); a != "4 of 4 pages" {
				t.stop(Failed, "pages in memory after they were written: %s", a)
			}
			return b
		},
		do: func(t *trial, b []byte) Answer {
			a := Answer("")
			for range 50 {
				for at := 0; at < len(b); at += pageSize {
					load(b[at:])
				}
				if err := sys.Madvise(b, sys.MadvPageout); err != nil {
					return answer(err)
				}
				if a = t.cached(b); a == gone {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			return a
		},
	}
	file.also = func(t *trial) []control[[]byte] {
		locked := file.make(t)
		t.must("mlock", sys.Mlock(locked))
		return []control[[]byte]{{"a mapping of a file, locked", locked, "EINVAL"}}
	}
	first, second := anon.probe(), file.probe()
	p := first
	p.Experiment += "; " + second.Experiment
	p.Oracle += "; of the file: " + second.Oracle
	p.Needs.Folder = true
	p.run = func(t *trial) {
		first.run(t)
		second.run(t)
	}
	return p
}

// cached says how many pages of a mapped file are in memory, mapped or not.
func (t *trial) cached(b []byte) Answer {
	pages, n := make([]byte, len(b)/pageSize), 0
	t.must("mincore", sys.Mincore(b, pages))
	for _, page := range pages {
		n += int(page & 1)
	}
	return answerf("%d of %d pages", n, len(pages))
}

func lastPage(b []byte) []byte { return b[len(b)-pageSize:] }

func nothingMapped(want Answer) func(*trial) []control[[]byte] {
	return func(*trial) []control[[]byte] {
		return []control[[]byte]{{"an address with nothing mapped", nowhere(), want}}
	}
}

// msealContent are the other ways to change what sealed memory holds.
func msealContent() []Probe {
	type mapping struct {
		file *os.File
		b    []byte
	}
	changes := Probe{
		ID: "ms-memfd-write", Row: "SEAL-CONTENT", Subject: Sealing, Since: "6.10", Source: docMseal,
		Requirement: "SV-INT-01", Good: Refuted,
		Remedy:     "Seal the file, too (F_SEAL_WRITE), before it is mapped.",
		Claim:      "the content of a sealed read-only shared mapping of a memfd can be changed by write(2)",
		Experiment: "write to the memfd below a sealed read-only mapping, then a load",
		Control:    "the same below a mapping of a memfd with F_SEAL_WRITE, and of a private copy",
		Oracle:     "changed: confirmed; EPERM or the bytes: refuted",
		run: func(t *trial) {
			below := func(f *os.File, flags int) mapping { return mapping{f, t.mapped(1, sys.ProtRead, flags, f)} }
			subject := below(t.memfd(t.exec(), 1), shared)
			t.msealed(subject.b)
			copied := t.memfd(t.exec(), 1)
			private := mapping{copied, t.mapped(1, rw, sys.MapPrivate, copied)}
			private.b[8] = 1 // copied on write: no longer the file's page
			writeSealed := t.sealed(1, sys.SealWrite)
			compare(t, experiment[mapping]{try: "write to the memfd, load", do: func(m mapping) Answer {
				if _, err := sys.Pwrite(m.file, []byte("S"), 0); err != nil {
					return answer(err)
				}
				if hasWord(m.b) == TheBytes {
					return TheBytes
				}
				return "changed"
			},
				on: "a sealed read-only shared mapping", subject: subject, confirms: []Answer{"changed"},
				refutes: []Answer{"EPERM", TheBytes},
				controls: []control[mapping]{{"a memfd with F_SEAL_WRITE", mapping{file: writeSealed}, "EPERM"},
					{"a page that was copied on write", private, TheBytes}}})
		},
	}
	reverts := Probe{
		ID: "ms-file-dontneed", Row: "SEAL-CONTENT", Subject: Sealing, Since: "6.10", Source: docMseal,
		Requirement: "SV-INT-01", Good: Refuted,
		Remedy:     "Do not keep data in the copied pages of private file mappings.",
		Claim:      "what was written to a private file mapping that is sealed read-only can be thrown away by MADV_DONTNEED",
		Experiment: "madvise(MADV_DONTNEED) of a sealed private file mapping whose page was written, then a load",
		Control:    "the same on sealed anonymous memory",
		Oracle:     "the content of the file again: confirmed; EPERM or the content that was written: refuted",
		Needs:      Needs{Folder: true},
		run: func(t *trial) {
			written := func(f *os.File) []byte {
				b := t.mapped(1, rw, private, f)
				fill(b)
				t.must("mprotect", sys.Mprotect(b, sys.ProtRead))
				return t.msealed(b)
			}
			f := t.file("file", 0)
			t.must("ftruncate", f.Truncate(int64(pageSize))) // zeroes
			compare(t, experiment[[]byte]{try: "madvise(MADV_DONTNEED), load", do: func(b []byte) Answer {
				if err := sys.Madvise(b, sys.MadvDontneed); err != nil {
					return answer(err)
				}
				return hasWord(b)
			},
				on: "a sealed read-only private file mapping", subject: written(f), confirms: []Answer{"zeroes"},
				refutes:  []Answer{"EPERM", TheBytes},
				controls: []control[[]byte]{{"sealed read-only anonymous memory", written(nil), "EPERM"}}})
		},
	}
	return []Probe{changes, reverts, msealFork(),
		msealArguments("ms-flags", "mseal takes no flags", "mseal with flags 1", 1), msealHole(), msealSystem()}
}

func msealFork() Probe {
	return Probe{
		ID: "ms-fork", Subject: Sealing, Since: "6.10", Source: docMseal, Requirement: "SV-TOP-01",
		Claim:      "a forked child inherits seals",
		Experiment: "munmap of sealed memory in a forked child", Control: "munmap of other memory there",
		Oracle: "EPERM: confirmed; ok: refuted",
		run: func(t *trial) {
			compare(t, experiment[[]byte]{try: "munmap in a forked child", do: func(b []byte) Answer {
				return t.childCalls(sys.RawCall{Number: sys.CallMunmap,
					Args: [6]uintptr{uintptr(sys.Addr(b)), uintptr(len(b))}})
			},
				on: "sealed memory", subject: t.msealed(t.anon(1)), confirms: []Answer{"EPERM"}, refutes: []Answer{OK},
				controls: []control[[]byte]{{"memory that is not sealed", t.anon(1), OK}}})
		},
	}
}

// childCalls makes calls in a forked child, and says what the last one gave.
func (t *trial) childCalls(calls ...sys.RawCall) Answer {
	status, err := sys.ForkCalls(calls)
	t.must("fork", err)
	if status.Signaled() {
		return signalName(status.Signal())
	}
	last := calls[len(calls)-1]
	if !last.Made {
		return "it ended early"
	}
	if last.Errno != 0 {
		return answer(last.Errno)
	}
	return OK
}

func msealArguments(id, claim, try string, flags int) Probe {
	return Probe{
		ID: id, Subject: Sealing, Since: "6.10", Source: docMseal, Claim: claim,
		Experiment: try, Control: "mseal with flags 0", Oracle: "EINVAL: confirmed; ok: refuted",
		run: func(t *trial) {
			t.msealed(t.anon(1))
			compare(t, experiment[int]{try: "mseal",
				do: func(flags int) Answer { return answer(sys.MsealFlags(t.anon(1), flags)) },
				on: "flags 1", subject: flags, confirms: []Answer{"EINVAL"}, refutes: []Answer{OK},
				controls: []control[int]{{"flags 0", 0, OK}}})
		},
	}
}

func msealHole() Probe {
	return Probe{
		ID: "ms-hole", Subject: Sealing, Since: "6.10", Source: docMseal,
		Claim:      "a range with a hole can't be sealed",
		Experiment: "mseal of three pages whose middle is unmapped", Control: "mseal of three pages, and of none",
		Oracle: "ENOMEM: confirmed; ok: refuted",
		run: func(t *trial) {
			t.msealed(t.anon(1))
			hole := t.anon(3)
			t.must("munmap", sys.Munmap(hole[pageSize:2*pageSize]))
			compare(t, experiment[[]byte]{try: "mseal", do: func(b []byte) Answer { return answer(sys.Mseal(b)) },
				on: "three pages whose middle is unmapped", subject: hole, confirms: []Answer{"ENOMEM"},
				refutes:  []Answer{OK},
				controls: []control[[]byte]{{"three pages", t.anon(3), OK}}})
		},
	}
}

// msealSystem looks at what the kernel maps into every process.
func msealSystem() Probe {
	return Probe{
		ID: "ms-vdso", Subject: Sealing, Since: "6.16", Source: docMseal + ", CONFIG_MSEAL_SYSTEM_MAPPINGS",
		Requirement: "SV-TOP-01",
		Claim:       "the kernel seals the vdso of every process",
		Experiment:  "VmFlags of [vdso]", Control: "VmFlags of own memory, sealed and not",
		Oracle: "sl: confirmed; no sl: refuted", Remedy: "Build the kernel with CONFIG_MSEAL_SYSTEM_MAPPINGS.",
		run: func(t *trial) {
			sealed := t.msealed(t.anon(1))
			vdso := t.find("[vdso]")
			compare(t, experiment[[]byte]{try: "VmFlags", do: func(b []byte) Answer { return t.hasFlag(b, "sl") },
				on: "[vdso]", subject: vdso, confirms: []Answer{"sl"}, refutes: []Answer{"no sl"},
				controls: []control[[]byte]{{"own memory, sealed", sealed, "sl"},
					{"own memory, not sealed", t.anon(1), "no sl"}}})
		},
	}
}
