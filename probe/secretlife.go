package probe

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// secretLifeProbes are about locks, forks, limits and dumps.
func secretLifeProbes() []Probe {
	return []Probe{secretLimitTouch(), {
		ID: "sm-lock-flag", Row: "SM-LOCK", Source: manSecret + ": \"locked … as with mlock(2)\"", Requirement: "SV-RES-02",
		Claim:      "secret memory is locked from the moment that it is mapped",
		Experiment: "VmFlags of a fresh mapping of secret memory", Control: "VmFlags of anonymous memory, locked and not",
		Oracle: "lo: confirmed; no lo: refuted",
		run: func(t *trial) {
			locked := t.anon(1)
			t.must("mlock", sys.Mlock(locked))
			compare(t, experiment[[]byte]{try: "VmFlags", do: func(b []byte) Answer { return t.hasFlag(b, "lo") },
				on: "a fresh mapping of secret memory", subject: t.secretUntouched(1), confirms: []Answer{"lo"},
				refutes: []Answer{"no lo"},
				controls: []control[[]byte]{{"an anonymous page", t.anon(1), "no lo"},
					{"a locked anonymous page", locked, "lo"}}})
		},
	}, {
		ID: "sm-lock-resident", Row: "SM-LOCK",
		Source:      "mlock(2), as which " + manSecret + " locks; but that says, too: \"only actually allocated as they are faulted in\"",
		Requirement: "SV-RES-01",
		Remedy:      "Touch every page before the hand-over.",
		Claim:       "secret memory is resident once it is mapped",
		Experiment:  "pagemap of a fresh mapping of secret memory",
		Control:     "pagemap of anonymous memory, untouched and locked",
		Oracle:      "1 of 1 pages: confirmed; 0 of 1 pages: refuted",
		run: func(t *trial) {
			locked := t.untouched(1)
			t.must("mlock", sys.Mlock(locked))
			compare(t, experiment[[]byte]{try: "pagemap", do: t.resident,
				on: "a fresh mapping of secret memory", subject: t.secretUntouched(1), confirms: []Answer{"1 of 1 pages"},
				refutes: []Answer{"0 of 1 pages"},
				controls: []control[[]byte]{{"anonymous memory, untouched", t.untouched(1), "0 of 1 pages"},
					{"anonymous memory, locked", locked, "1 of 1 pages"}}})
		},
	}, {
		ID: "sm-lock-populate", Row: "SM-LOCK", Source: "mmap(2), MAP_POPULATE", Requirement: "SV-RES-01",
		Remedy:     "Touch every page before the hand-over.",
		Claim:      "MAP_POPULATE makes secret memory resident",
		Experiment: "mmap(MAP_POPULATE) of secret memory, then pagemap",
		Control:    "the same of anonymous memory, and without MAP_POPULATE",
		Oracle:     "1 of 1 pages: confirmed; 0 of 1 pages: refuted",
		run: func(t *trial) {
			t.count(1)
			compare(t, experiment[[]byte]{try: "pagemap", do: t.resident,
				on: "secret memory, MAP_POPULATE", subject: t.mapped(1, rw, shared|sys.MapPopulate, t.secretFile(1)),
				confirms: []Answer{"1 of 1 pages"}, refutes: []Answer{"0 of 1 pages"},
				controls: []control[[]byte]{{"anonymous memory", t.untouched(1), "0 of 1 pages"},
					{"anonymous memory, MAP_POPULATE", t.mapped(1, rw, private|sys.MapPopulate, nil), "1 of 1 pages"}}})
		},
	}, {
		ID: "sm-lock-mlock", Row: "SM-LOCK", Source: "mlock(2)",
		Claim:      "mlock of secret memory, which is locked already, succeeds",
		Experiment: "mlock of secret memory", Control: "mlock of anonymous memory, and where nothing is mapped",
		Oracle: "ok: confirmed; ENOMEM: refuted",
		run: func(t *trial) {
			compare(t, experiment[[]byte]{try: "mlock", do: func(b []byte) Answer { return answer(sys.Mlock(b)) },
				on: "a page of secret memory", subject: t.secretPages(1), confirms: []Answer{OK},
				refutes: []Answer{"ENOMEM"},
				controls: []control[[]byte]{{"an anonymous page", t.anon(1), OK},
					{"an address with nothing mapped", nowhere(), "ENOMEM"}}})
		},
	}, {
		ID: "sm-munlock", Row: "SM-LOCK", Source: manSecret, Requirement: "SV-RES-02",
		Claim:      "munlock does not unlock secret memory",
		Experiment: "munlock of secret memory, then VmFlags", Control: "the same of locked anonymous memory",
		Oracle: "lo: confirmed; no lo: refuted",
		run: func(t *trial) {
			locked := t.anon(1)
			t.must("mlock", sys.Mlock(locked))
			secret := t.secretPages(1)
			if t.hasFlag(secret, "lo") != "lo" {
				t.stop(Missing, "secret memory is not marked as locked by this kernel, see sm-lock-flag")
			}
			compare(t, experiment[[]byte]{try: "munlock, VmFlags", do: func(b []byte) Answer {
				if err := sys.Munlock(b); err != nil {
					return answer(err)
				}
				return t.hasFlag(b, "lo")
			},
				on: "a page of secret memory", subject: secret, confirms: []Answer{"lo"},
				refutes:  []Answer{"no lo"},
				controls: []control[[]byte]{{"a locked anonymous page", locked, "no lo"}}})
		},
	}, {
		ID: "sm-fork-child", Row: "SM-FORK", Source: "LWN 865256: available to children", Requirement: "SV-XDM-02",
		Good:       Refuted,
		Remedy:     "Set MADV_DONTFORK on every mapping of secret memory.",
		Claim:      "a forked child can read the secret memory of its parent",
		Experiment: "a load in a forked child", Control: "a load of anonymous memory, and of memory with MADV_DONTFORK",
		Oracle: "the bytes: confirmed; SIGSEGV: refuted",
		run: func(t *trial) {
			t.forked("a page of secret memory", t.secretPages(1), []Answer{TheBytes}, []Answer{segv})
		},
	}, {
		ID: "sm-fork-dontfork", Row: "SM-FORK", Source: "madvise(2), MADV_DONTFORK", Requirement: "SV-XDM-02",
		Claim:      "MADV_DONTFORK keeps secret memory from a forked child",
		Experiment: "madvise(MADV_DONTFORK), then a load in a forked child",
		Control:    "a load of anonymous memory, and of such with MADV_DONTFORK",
		Oracle:     "SIGSEGV: confirmed; the bytes: refuted",
		run: func(t *trial) {
			b := t.secretPages(1)
			t.must("MADV_DONTFORK", sys.Madvise(b, sys.MadvDontfork))
			t.forked("a page of secret memory with MADV_DONTFORK", b, []Answer{segv}, []Answer{TheBytes})
		},
	}, {
		ID: "sm-fork-wipe", Row: "SM-FORK", Source: "madvise(2), MADV_WIPEONFORK: private anonymous memory alone",
		Claim:      "MADV_WIPEONFORK is refused for secret memory",
		Experiment: "madvise(MADV_WIPEONFORK)", Control: "the same on anonymous memory",
		Oracle: "EINVAL: confirmed; ok: refuted",
		run: func(t *trial) {
			compare(t, experiment[[]byte]{try: "madvise(MADV_WIPEONFORK)",
				do: func(b []byte) Answer { return answer(sys.Madvise(b, sys.MadvWipeonfork)) },
				on: "a page of secret memory", subject: t.secretPages(1), confirms: []Answer{"EINVAL"},
				refutes:  []Answer{OK},
				controls: []control[[]byte]{{"an anonymous page", t.anon(1), OK}}})
		},
	}, {
		ID: "sm-limit", Row: "SM-LIMIT", Source: manSecret + ": RLIMIT_MEMLOCK",
		Needs:      Needs{Privilege: "none: it gives CAP_IPC_LOCK up", SecretPages: 1},
		Claim:      "secret memory counts against RLIMIT_MEMLOCK when it is mapped",
		Experiment: "mmap of 17 pages with a limit of 16, without touching them", Control: "mmap of 16 pages",
		Oracle: "EAGAIN: confirmed; ok: refuted",
		run:    func(t *trial) { t.memlock("17 pages, readable", 17, rw) },
	}, {
		ID: "sm-limit-none", Row: "SM-LIMIT", Source: manSecret + ": RLIMIT_MEMLOCK",
		Needs:      Needs{Privilege: "none: it gives CAP_IPC_LOCK up", SecretPages: 1},
		Claim:      "inaccessible (PROT_NONE) secret memory counts against RLIMIT_MEMLOCK, too",
		Experiment: "mmap(PROT_NONE) of 17 pages with a limit of 16", Control: "mmap of 16 pages",
		Oracle: "EAGAIN: confirmed; ok: refuted",
		run:    func(t *trial) { t.memlock("17 pages, PROT_NONE", 17, sys.ProtNone) },
	}, {
		ID: "sm-dump-flag", Source: "Linux mm/secretmem.c: VM_DONTDUMP",
		Claim:      "secret memory is left out of core dumps",
		Experiment: "VmFlags of secret memory", Control: "VmFlags of anonymous memory, also with MADV_DONTDUMP",
		Oracle: "dd: confirmed; no dd: refuted",
		run: func(t *trial) {
			out := t.anon(1)
			t.must("MADV_DONTDUMP", sys.Madvise(out, sys.MadvDontdump))
			compare(t, experiment[[]byte]{try: "VmFlags", do: func(b []byte) Answer { return t.hasFlag(b, "dd") },
				on: "a page of secret memory", subject: t.secretPages(1), confirms: []Answer{"dd"},
				refutes: []Answer{"no dd"},
				controls: []control[[]byte]{{"an anonymous page", t.anon(1), "no dd"},
					{"an anonymous page with MADV_DONTDUMP", out, "dd"}}})
		},
	}, {
		ID: "sm-dump-core", Source: "Linux mm/secretmem.c", Needs: Needs{Folder: true, SecretPages: 1},
		Requirement: "SV-LIN-01",
		Claim:       "secret memory is not in a core dump, even with MADV_DODUMP",
		Experiment:  "a core dump of a child, after MADV_DODUMP, searched for the secret",
		Control:     "the same for the content of an anonymous page",
		Oracle:      "absent: confirmed; present: refuted", Cleanup: "the core dump is in the temporary folder",
		run: coreDump,
	}, {
		ID: "sm-hibernate", Source: "Linux kernel/power/hibernate.c: hibernation_available",
		Needs:      Needs{Alone: true, SecretPages: 1},
		Claim:      "hibernation is refused while a file of secret memory is open",
		Experiment: "/sys/power/disk while such a file is open", Control: "/sys/power/disk before",
		Oracle: "[disabled]: confirmed; a mode: refuted",
		run: func(t *trial) {
			const path = "/sys/power/disk"
			if _, err := os.Stat(path); err != nil {
				t.stop(Missing, "%v (CONFIG_HIBERNATION)", err)
			}
			read := func(open bool) Answer {
				if open {
					defer t.secretFile(1).Close()
				}
				text, err := os.ReadFile(path)
				t.must(path, err)
				return whether(strings.Contains(string(text), "[disabled]"))
			}
			compare(t, experiment[bool]{try: "/sys/power/disk says [disabled]", do: read,
				on: "a file of secret memory is open", subject: true,
				confirms: []Answer{yes}, refutes: []Answer{no}, controls: []control[bool]{{"none is open", false, no}}})
		},
	}}
}

// segv says that a child was killed by SIGSEGV.
const segv Answer = "SIGSEGV"

// childLoads has a forked child load the first bytes of b, and says what became of it.
func (t *trial) childLoads(b []byte) Answer {
	calls := make([]sys.RawCall, len(word))
	for i := range calls {
		calls[i] = sys.RawCall{Number: sys.CallLoad, Args: [6]uintptr{uintptr(sys.Addr(b)) + uintptr(i)}}
	}
	status, err := sys.ForkCalls(calls)
	t.must("fork", err)
	if status.Signaled() {
		return signalName(status.Signal())
	}
	got := make([]byte, len(word))
	for i := range calls {
		if !calls[i].Made {
			return "it ended early"
		}
		got[i] = byte(calls[i].Result)
	}
	return isWord(got, len(got), nil)
}

func signalName(s syscall.Signal) Answer {
	names := map[syscall.Signal]Answer{syscall.SIGSEGV: segv, syscall.SIGBUS: "SIGBUS", syscall.SIGKILL: "SIGKILL",
		syscall.SIGSYS: "SIGSYS", syscall.SIGILL: "SIGILL"}
	if name, ok := names[s]; ok {
		return name
	}
	return answerf("signal %d", int(s))
}

// forked compares what a child can load.
func (t *trial) forked(on string, b []byte, confirms, refutes []Answer) {
	kept := t.anon(1)
	t.must("MADV_DONTFORK", sys.Madvise(kept, sys.MadvDontfork))
	compare(t, experiment[[]byte]{try: "load in a forked child", do: t.childLoads, on: on, subject: b, confirms: confirms,
		refutes: refutes,
		controls: []control[[]byte]{{"an anonymous page", t.anon(1), TheBytes},
			{"an anonymous page with MADV_DONTFORK", kept, segv}}})
}

// memlock maps secret memory with a limit of 16 pages, as an ordinary process.
func (t *trial) memlock(on string, pages, prot int) {
	type request struct{ pages, prot int }
	files := map[int]*os.File{}
	for _, n := range []int{16, 17} {
		files[n] = t.secretFile(n)
	}
	t.must("RLIMIT_MEMLOCK", sys.SetLimit(sys.LimitMemlock, uint64(16*pageSize)))
	t.must("giving up capabilities", sys.DropCapabilities())
	compare(t, experiment[request]{try: "mmap", do: func(r request) Answer {
		f, flags := files[r.pages], shared
		if f == nil {
			flags = private | sys.MapAnonymous | sys.MapLocked
		}
		b, err := sys.Mmap(max(r.pages, -r.pages)*pageSize, r.prot, flags, fdOf(f), 0)
		if err != nil {
			return answer(err)
		}
		return answer(sys.Munmap(b))
	},
		on: on, subject: request{pages, prot}, confirms: []Answer{"EAGAIN"}, refutes: []Answer{OK},
		controls: []control[request]{{"16 pages", request{16, prot}, OK}, {"17 anonymous pages, MAP_LOCKED", request{-17, rw}, "EAGAIN"}}})
}

func fdOf(f *os.File) int {
	if f == nil {
		return -1
	}
	return int(f.Fd())
}

// secretLimitTouch is about the limit, whenever it is charged: when memory is mapped, or when
// it is touched.
func secretLimitTouch() Probe {
	return Probe{
		ID: "sm-limit-touch", Row: "SM-LIMIT", Source: manSecret + ": RLIMIT_MEMLOCK",
		Needs:      Needs{Privilege: "none: it gives CAP_IPC_LOCK up", SecretPages: 5},
		Claim:      "a process can't have more secret memory than RLIMIT_MEMLOCK",
		Experiment: "mmap of 5 pages with a limit of 4, and a store to each", Control: "the same with 4 pages",
		Oracle: "EAGAIN or a fault: confirmed; ok: refuted",
		run: func(t *trial) {
			t.secretFile(1).Close() // is there such a thing?
			t.count(5)
			t.must("RLIMIT_MEMLOCK", sys.SetLimit(sys.LimitMemlock, uint64(4*pageSize)))
			if os.Geteuid() == 0 { // some kernels count by user: let it be one that has nothing locked
				t.must("another user", sys.BecomeUser(strangest))
			}
			t.must("giving up capabilities", sys.DropCapabilities())
			compare(t, experiment[int]{try: "mmap and stores", do: func(pages int) Answer {
				f := t.secretFile(pages)
				defer f.Close()
				b, err := sys.Mmap(pages*pageSize, rw, shared, int(f.Fd()), 0)
				if err != nil {
					return answer(err)
				}
				defer sys.Munmap(b)
				for i := range pages {
					if a := store(b[i*pageSize:]); a != OK {
						t.note("refused", "the store to page %d of %d", i+1, pages)
						return a
					}
				}
				return OK
			},
				on: "5 pages, with a limit of 4", subject: 5, confirms: []Answer{"EAGAIN", Fault}, refutes: []Answer{OK},
				controls: []control[int]{{"4 pages", 4, OK}}})
		},
	}
}

// coreDump has a child die of a fault with a core dump in the temporary folder.
func coreDump(t *trial) {
	t.coresHere()
	secret, plain := t.secretPages(1), t.untouched(1)
	t.must("MADV_DODUMP", sys.Madvise(secret, sys.MadvDodump))
	mark := func(b []byte, what string) []byte {
		// Made of parts, and not kept, so that it is nowhere else in the process.
		n := copy(b, "in a core dump: ")
		copy(b[n:], what)
		return b[:n+len(what)]
	}
	marks := map[string][]byte{"secret": mark(secret, "\x7fSeCrEt\x7f"), "plain": mark(plain, "\x7fpLaIn\x7f")}
	runtime.GC()
	t.must("RLIMIT_CORE", sys.SetLimit(sys.LimitCore, 1<<30))
	status, err := sys.ForkCalls(dumpsCore())
	t.must("fork", err)
	if !status.CoreDump() {
		t.stop(Missing, "the child ended without a core dump: %v", status)
	}
	cores, _ := filepath.Glob("*")
	if len(cores) != 1 {
		t.stop(Failed, "core dumps: %v", cores)
	}
	core, err := os.ReadFile(cores[0])
	t.must("the core dump", err)
	t.note("size of the core dump", "%d bytes", len(core))
	compare(t, experiment[string]{try: "search of a core dump", do: func(name string) Answer {
		if bytes.Contains(core, marks[name]) {
			return "present"
		}
		return "absent"
	},
		on: "the content of a page of secret memory", subject: "secret", confirms: []Answer{"absent"},
		refutes:  []Answer{"present"},
		controls: []control[string]{{"the content of an anonymous page", "plain", "present"}}})
}
