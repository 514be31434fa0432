package probe

import (
	"os"
	"slices"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

const (
	manMemfd = "memfd_create(2)"
	docNoex  = "Documentation/userspace-api/mfd_noexec.rst"
)

func memfdProbes() []Probe {
	return slices.Concat(memfdExecProbes(), memfdMapProbes(), noexecProbes(), sealProbes(), []Probe{hookProbe()})
}

func memfdExecProbes() []Probe {
	return []Probe{{
		ID: "mf-exec", Subject: Memfd, Since: "6.3", Source: manMemfd,
		Claim:       "a memfd made with MFD_EXEC can be executed",
		Experiment:  "execve of a program in a memfd made with MFD_EXEC",
		Control:     "the same program in one made with MFD_NOEXEC_SEAL",
		Oracle:      "it runs: confirmed; EACCES: refuted",
		Requirement: "SV-XDM-03", Good: Refuted, Severity: guarantee.Low,
		Remedy: "Set vm.memfd_noexec=2 in the workload's PID namespace.",
		run: func(t *trial) {
			compare(t, experiment[*os.File]{try: "execve", do: execute,
				on: "a memfd made with MFD_EXEC", subject: t.programFile(sys.MfdExec), confirms: []Answer{Ran},
				refutes: []Answer{"EACCES"},
				controls: []control[*os.File]{{"a memfd made with MFD_NOEXEC_SEAL", t.programFile(sys.MfdNoexecSeal),
					"EACCES"}}})
		},
	}, {
		ID: "mf-noexec-exec", Subject: Memfd, Since: "6.3", Source: manMemfd + ", MFD_NOEXEC_SEAL",
		Claim:      "a memfd made with MFD_NOEXEC_SEAL can't be executed",
		Experiment: "execve of a program in a memfd made with MFD_NOEXEC_SEAL",
		Control:    "the same program in one made with MFD_EXEC",
		Oracle:     "EACCES: confirmed; it runs: refuted", Requirement: "SV-XDM-03",
		run: func(t *trial) {
			compare(t, experiment[*os.File]{try: "execve", do: execute,
				on: "a memfd made with MFD_NOEXEC_SEAL", subject: t.programFile(sys.MfdNoexecSeal),
				confirms: []Answer{"EACCES"}, refutes: []Answer{Ran},
				controls: []control[*os.File]{{"a memfd made with MFD_EXEC", t.programFile(sys.MfdExec), Ran}}})
		},
	}, {
		ID: "mf-noexec-chmod", Subject: Memfd, Since: "6.3", Source: manMemfd + ", MFD_NOEXEC_SEAL",
		Claim:      "a memfd made with MFD_NOEXEC_SEAL can't be made executable",
		Experiment: "fchmod 0700 of a memfd made with MFD_NOEXEC_SEAL",
		Control:    "the same on one made with MFD_EXEC, without execution bits",
		Oracle:     "EPERM: confirmed; ok: refuted", Requirement: "SV-XDM-03",
		run: func(t *trial) {
			plain := t.memfd(sys.MfdExec, 1)
			t.must("fchmod 0600", plain.Chmod(0o600))
			compare(t, experiment[*os.File]{try: "fchmod 0700",
				do: func(f *os.File) Answer { return answer(f.Chmod(0o700)) },
				on: "a memfd made with MFD_NOEXEC_SEAL", subject: t.memfd(sys.MfdNoexecSeal, 1), confirms: []Answer{"EPERM"},
				refutes:  []Answer{OK},
				controls: []control[*os.File]{{"a memfd made with MFD_EXEC, mode 0600", plain, OK}}})
		},
	}, {
		ID: "mf-both", Subject: Memfd, Since: "6.3", Source: manMemfd,
		Claim:      "MFD_EXEC and MFD_NOEXEC_SEAL exclude each other",
		Experiment: "memfd_create with both flags", Control: "memfd_create with each of them",
		Oracle: "EINVAL: confirmed; ok: refuted",
		run: func(t *trial) {
			t.memfd(sys.MfdExec, 0).Close()
			compare(t, experiment[int]{try: "memfd_create", do: create,
				on: "MFD_EXEC|MFD_NOEXEC_SEAL", subject: sys.MfdExec | sys.MfdNoexecSeal, confirms: []Answer{"EINVAL"},
				refutes:  []Answer{OK},
				controls: []control[int]{{"MFD_EXEC", sys.MfdExec, OK}, {"MFD_NOEXEC_SEAL", sys.MfdNoexecSeal, OK}}})
		},
	}, {
		ID: "mf-noexec-sealing", Subject: Memfd, Since: "6.3", Source: manMemfd + ", MFD_NOEXEC_SEAL",
		Claim:      "MFD_NOEXEC_SEAL implies MFD_ALLOW_SEALING",
		Experiment: "F_ADD_SEALS(F_SEAL_GROW) on a memfd made with MFD_NOEXEC_SEAL alone",
		Control:    "the same on one made with MFD_EXEC alone, and with MFD_ALLOW_SEALING",
		Oracle:     "ok: confirmed; EPERM: refuted",
		run: func(t *trial) {
			compare(t, experiment[*os.File]{try: "F_ADD_SEALS(F_SEAL_GROW)",
				do: func(f *os.File) Answer { return answer(sys.AddSeals(f, sys.SealGrow)) },
				on: "a memfd made with MFD_NOEXEC_SEAL", subject: t.memfd(sys.MfdNoexecSeal, 1), confirms: []Answer{OK},
				refutes: []Answer{"EPERM"},
				controls: []control[*os.File]{
					{"a memfd made with MFD_EXEC", t.memfd(sys.MfdExec, 1), "EPERM"},
					{"a memfd made with MFD_ALLOW_SEALING", t.memfd(sys.MfdExec|sys.MfdAllowSealing, 1), OK}}})
		},
	}, {
		ID: "mf-seal-exec", Subject: Memfd, Since: "6.3", Source: "Linux commit 6fd7353829ca, F_SEAL_EXEC",
		Claim:      "F_SEAL_EXEC on an executable memfd seals its content, too (W^X)",
		Experiment: "F_ADD_SEALS(F_SEAL_EXEC) on a memfd with execution bits, then F_GET_SEALS",
		Control:    "the same on one without execution bits",
		Oracle:     "0x3e (EXEC, SHRINK, GROW, WRITE, FUTURE_WRITE): confirmed; 0x20: refuted",
		run: func(t *trial) {
			plain := t.memfd(sys.MfdExec|sys.MfdAllowSealing, 1)
			t.must("fchmod 0600", plain.Chmod(0o600))
			compare(t, experiment[*os.File]{try: "F_ADD_SEALS(F_SEAL_EXEC), F_GET_SEALS", do: sealExec,
				on: "an executable memfd", subject: t.memfd(sys.MfdExec|sys.MfdAllowSealing, 1), confirms: []Answer{"0x3e"},
				refutes:  []Answer{"0x20"},
				controls: []control[*os.File]{{"a memfd without execution bits", plain, "0x20"}}})
		},
	}, {
		ID: "mf-tmpfs", Subject: Memfd, Source: docNoex + " (speaks of memfds alone)",
		Claim:       "a file without a name on /dev/shm can be executed, of which vm.memfd_noexec says nothing",
		Experiment:  "execve of a program in an O_TMPFILE on /dev/shm, mode 0700",
		Control:     "the same with mode 0600",
		Oracle:      "it runs: confirmed; EACCES: refuted (the mount has noexec)",
		Requirement: "SV-XDM-03", Good: Refuted, Severity: guarantee.Low,
		Remedy: "Mount /dev/shm and /tmp with noexec for the workload.",
		run: func(t *trial) {
			compare(t, experiment[os.FileMode]{try: "execve", do: t.runTmpfs,
				on: "a file on /dev/shm, mode 0700", subject: 0o700, confirms: []Answer{Ran}, refutes: []Answer{"EACCES"},
				controls: []control[os.FileMode]{{"a file on /dev/shm, mode 0600", 0o600, "EACCES"},
					{"an executable memfd in its place", 0, Ran}}})
		},
	}}
}

func create(flags int) Answer {
	f, err := sys.MemfdCreate("safevma-probe", flags)
	if err == nil {
		f.Close()
	}
	return answer(err)
}

func sealExec(f *os.File) Answer {
	if err := sys.AddSeals(f, sys.SealExec); err != nil {
		return answer(err)
	}
	return seals(f)
}

func seals(f *os.File) Answer {
	n, err := sys.Seals(f)
	if err != nil {
		return answer(err)
	}
	return answerf("%#x", n)
}

// runTmpfs runs a program in a file on /dev/shm that has no name. Mode 0 is an executable
// memfd instead.
func (t *trial) runTmpfs(mode os.FileMode) Answer {
	if mode == 0 {
		return execute(t.programFile(t.exec()))
	}
	f, err := sys.TempFile("/dev/shm")
	t.must("O_TMPFILE on /dev/shm", err)
	_, err = f.Write(program())
	t.must("write on /dev/shm", err)
	t.must("fchmod", f.Chmod(mode))
	read, err := sys.Reopen(f)
	t.must("open for reading", err)
	defer read.Close()
	f.Close() // what is open for writing can't be executed (ETXTBSY)
	return execute(read)
}

func memfdMapProbes() []Probe {
	const title = docNoex + ", title: \"Introduction of non-executable mfd\""
	gap := func(id, claim, what string, do func(*trial) func(*os.File) Answer) Probe {
		return Probe{
			ID: id, Subject: Memfd, Row: "NX-MAP", Since: "6.3", Source: title, Claim: claim,
			Experiment: what + ", and call of code in it, of a memfd made with MFD_NOEXEC_SEAL",
			Control:    "the same of one made with MFD_EXEC; a call into a mapping that is not executable",
			Oracle:     "EPERM, EACCES or a fault: confirmed; the code runs: refuted", Requirement: "SV-XDM-03",
			Remedy: "A seal does not stop it: deny PROT_EXEC of memfds with a security module, or mappings with seccomp.",
			run: func(t *trial) {
				compare(t, experiment[*os.File]{try: what + " and call", do: do(t),
					on: "a memfd made with MFD_NOEXEC_SEAL", subject: t.coded(sys.MfdNoexecSeal),
					confirms: []Answer{"EPERM", "EACCES", Fault}, refutes: []Answer{Ran},
					controls: []control[*os.File]{{"a memfd made with MFD_EXEC", t.coded(sys.MfdExec), Ran},
						{"a mapping without PROT_EXEC", nil, Fault}}})
			},
		}
	}
	mapAndCall := func(prot, flags int) func(*trial) func(*os.File) Answer {
		return func(t *trial) func(*os.File) Answer {
			return func(f *os.File) Answer {
				prot := prot
				if f == nil {
					f, prot = t.coded(sys.MfdNoexecSeal), prot&^sys.ProtExec
				}
				b, err := sys.Mmap(pageSize, prot, flags, int(f.Fd()), 0)
				if err != nil {
					return answer(err)
				}
				return call(b)
			}
		}
	}
	return []Probe{
		gap("mf-map-exec", "code in a memfd that is sealed as not executable can't be mapped and run",
			"mmap(PROT_READ|PROT_EXEC, MAP_PRIVATE)", mapAndCall(rx, private)),
		gap("mf-map-wx", "a memfd that is sealed as not executable can't be mapped writable and executable",
			"mmap(PROT_READ|PROT_WRITE|PROT_EXEC, MAP_SHARED)", mapAndCall(rw|rx, shared)),
		gap("mf-mprotect-exec", "a mapping of a memfd that is sealed as not executable can't become executable",
			"mmap(PROT_READ|PROT_WRITE, MAP_SHARED), mprotect(PROT_READ|PROT_EXEC)",
			func(t *trial) func(*os.File) Answer {
				return func(f *os.File) Answer {
					prot := rx
					if f == nil {
						f, prot = t.coded(sys.MfdNoexecSeal), sys.ProtRead
					}
					b := t.mapped(1, rw, shared, f)
					if err := sys.Mprotect(b, prot); err != nil {
						return answer(err)
					}
					return call(b)
				}
			}),
	}
}
