package probe

import (
	"os"
	"strconv"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// secretFileProbes are about what can be done with the file and its mappings.
func secretFileProbes() []Probe {
	type attempt = func(*trial, *os.File) Answer
	file := func(id, claim, source, try string, confirms, refutes Answer, ordinary Answer, do attempt) Probe {
		return Probe{
			ID: id, Claim: claim, Source: source, Experiment: try + " on a file of secret memory",
			Control: "the same on an ordinary memfd",
			Oracle:  string(confirms) + ": confirmed; " + string(refutes) + ": refuted",
			run: func(t *trial) {
				compare(t, experiment[*os.File]{try: try, do: func(f *os.File) Answer { return do(t, f) },
					on: "a file of secret memory", subject: t.secretFile(1), confirms: []Answer{confirms},
					refutes:  []Answer{refutes},
					controls: []control[*os.File]{{"a memfd", t.memfd(t.exec(), 1), ordinary}}})
			},
		}
	}
	mmap := func(prot, flags int) attempt {
		return func(_ *trial, f *os.File) Answer {
			_, err := sys.Mmap(pageSize, prot, flags, int(f.Fd()), 0)
			return answer(err)
		}
	}
	const only = manSecret + ": the file is to be mapped, nothing else"
	exec := file("sm-file-map-exec", "secret memory can't be mapped executable", "Linux mm/secretmem.c: MNT_NOEXEC",
		"mmap(PROT_EXEC, MAP_SHARED)", "EPERM", OK, OK, mmap(rx, shared))
	exec.Requirement = "SV-XDM-03"
	later := file("sm-file-mprotect-exec", "a mapping of secret memory can't become executable",
		"Linux mm/secretmem.c: MNT_NOEXEC", "mmap(MAP_SHARED), mprotect(PROT_EXEC)", "EACCES", OK, OK,
		func(t *trial, f *os.File) Answer { return answer(sys.Mprotect(t.mapped(1, rw, shared, f), rx)) })
	later.Requirement = "SV-XDM-03"
	return []Probe{
		file("sm-file-read", "the file can't be read", only, "pread", "ESPIPE", OK, OK,
			func(_ *trial, f *os.File) Answer { _, err := sys.Pread(f, make([]byte, 8), 0); return answer(err) }),
		file("sm-file-write", "the file can't be written", only, "write", "EINVAL", OK, OK,
			func(_ *trial, f *os.File) Answer { _, err := sys.Write(f, make([]byte, 8)); return answer(err) }),
		file("sm-file-sendfile", "the file can't be sent", only, "sendfile to a pipe", "EINVAL", OK, OK,
			func(t *trial, f *os.File) Answer {
				f.Seek(0, 0)
				_, w := t.pipe()
				_, err := sys.Sendfile(w, f, 8)
				return answer(err)
			}),
		file("sm-file-splice", "the file can't be spliced", only, "splice to a pipe", "EINVAL", OK, OK,
			func(t *trial, f *os.File) Answer {
				f.Seek(0, 0)
				_, w := t.pipe()
				_, err := sys.Splice(f, w, 8)
				return answer(err)
			}),
		file("sm-file-fallocate", "memory can't be allocated in advance by fallocate", only, "fallocate", "ENOTSUP", OK, OK,
			func(_ *trial, f *os.File) Answer { return answer(sys.Fallocate(f, 0, int64(pageSize))) }),
		file("sm-file-reopen", "the file can't be opened again by /proc/self/fd", "Linux mm/secretmem.c: no open",
			"open of /proc/self/fd/N", "ENXIO", OK, OK,
			func(_ *trial, f *os.File) Answer {
				again, err := sys.Reopen(f)
				if err == nil {
					again.Close()
				}
				return answer(err)
			}),
		file("sm-file-private", "the file can't be mapped private", manSecret+", and mm/secretmem.c", "mmap(MAP_PRIVATE)",
			"EINVAL", OK, OK, mmap(rw, private)),
		file("sm-file-resize", "the size can be set once", "Linux mm/secretmem.c: secretmem_setattr",
			"ftruncate to two pages, of a file with a size", "EINVAL", OK, OK,
			func(_ *trial, f *os.File) Answer { return answer(f.Truncate(int64(2 * pageSize))) }),
		exec, later,
		secretProgram(), secretInherited(),
		secretFlags(),
	}
}

// secretProgram is about the file as a program.
func secretProgram() Probe {
	return Probe{
		ID: "sm-file-exec", Source: "Linux mm/secretmem.c: MNT_NOEXEC", Requirement: "SV-XDM-03",
		Claim:      "a program in secret memory can't be executed",
		Experiment: "execve of a program in a file of secret memory, mode 0700",
		Control:    "the same program in a memfd, with mode 0700 and 0600",
		Oracle:     "EACCES: confirmed; it runs: refuted",
		run: func(t *trial) {
			secret, plain := t.secretFile(1), t.programFile(t.exec())
			t.count(1)
			b := t.mapped(1, rw, shared, secret)
			t.secretStores(func() { copy(b, program()) })
			t.must("munmap", sys.Munmap(b))
			t.must("fchmod 0700", secret.Chmod(0o700)) // so that it is not the mode that refuses it
			t.must("fchmod 0700", plain.Chmod(0o700))  // which level 2 of vm.memfd_noexec refuses
			barred := t.programFile(t.exec())
			t.must("fchmod 0600", barred.Chmod(0o600))
			compare(t, experiment[*os.File]{try: "execve", do: execute, on: "a file of secret memory, mode 0700", subject: secret,
				confirms: []Answer{"EACCES"}, refutes: []Answer{Ran},
				controls: []control[*os.File]{{"a memfd, mode 0700", plain, Ran}, {"a memfd, mode 0600", barred, "EACCES"}}})
		},
	}
}

func init() {
	stages["load-file"] = func(t *trial, args []string) []Answer {
		fd, _ := strconv.Atoi(args[0])
		b, err := sys.Mmap(pageSize, sys.ProtRead, shared, fd, 0)
		if err != nil {
			return []Answer{answer(err)}
		}
		return []Answer{hasWord(b)}
	}
}

// secretInherited is about execve(2), over which mappings do not stay and files may.
func secretInherited() Probe {
	return Probe{
		ID: "sm-exec", Source: "execve(2): file descriptors remain open, unless close-on-exec is set",
		Claim:      "a program that is executed can read the secret memory whose file is left open for it",
		Experiment: "mmap and load in a program that a process with the file open, without close-on-exec, has executed",
		Control:    "the same with a memfd, and with a descriptor that is not open",
		Oracle:     "the bytes: confirmed; EBADF: refuted",
		run: func(t *trial) {
			secret := t.secretFile(1)
			t.count(1)
			b := t.mapped(1, rw, shared, secret)
			t.secretStores(func() { fill(b) })
			type left struct {
				file *os.File // open for the program, as its first descriptor after the standard ones
				fd   string   // which it maps
			}
			const first, closed = "3", "65536"
			compare(t, experiment[left]{try: "execve, mmap, load", do: func(l left) Answer {
				answers, err := t.stage("load-file", syscall.SysProcAttr{}, []*os.File{l.file}, l.fd)
				t.must("a process", err)
				return answers[0]
			},
				on: "a file of secret memory", subject: left{secret, first}, confirms: []Answer{TheBytes}, refutes: []Answer{"EBADF"},
				controls: []control[left]{{"a memfd", left{t.memfd(t.exec(), 1), first}, TheBytes},
					{"a descriptor that is not open", left{secret, closed}, "EBADF"}}})
		},
	}
}

// secretFlags is about the one flag that the manual page tells of.
func secretFlags() Probe {
	return Probe{
		ID: "sm-cloexec", Row: "SM-CLOEXEC", Source: manSecret + ": \"flags: FD_CLOEXEC\"",
		Claim:      "memfd_secret takes the flag FD_CLOEXEC",
		Experiment: "memfd_secret(FD_CLOEXEC)", Control: "memfd_secret(O_CLOEXEC)",
		Oracle: "ok: confirmed; EINVAL: refuted (the kernel takes O_CLOEXEC)",
		run: func(t *trial) {
			t.secretFile(1).Close()
			compare(t, experiment[int]{try: "memfd_secret", do: func(flags int) Answer {
				f, err := sys.MemfdSecretFlags(flags)
				if err == nil {
					f.Close()
				}
				return answer(err)
			},
				on: "FD_CLOEXEC", subject: sys.FdCloexec, confirms: []Answer{OK}, refutes: []Answer{"EINVAL"},
				controls: []control[int]{{"O_CLOEXEC", sys.OCloexec, OK}, {"O_APPEND", sys.OAppend, "EINVAL"}}})
		},
	}
}
