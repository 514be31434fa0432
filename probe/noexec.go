package probe

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

const noexecPath = "/proc/sys/vm/memfd_noexec"

// What is made of a memfd.
const (
	executable Answer = "executable"
	noexec     Answer = "not executable, sealed so"
)

func init() { stages["noexec"] = noexecStage }

// noexecStage does one thing after the other in its PID namespace: "set N" writes
// vm.memfd_noexec and "get" reads it, "drop" gives up all capabilities, "make FLAGS" makes a
// memfd, and "nest" does the rest in a namespace below.
func noexecStage(t *trial, args []string) []Answer {
	var answers []Answer
	for i, arg := range args {
		verb, value, _ := strings.Cut(arg, " ")
		switch verb {
		case "set":
			answers = append(answers, answer(os.WriteFile(noexecPath, []byte(value), 0)))
		case "get":
			text, err := os.ReadFile(noexecPath)
			if err != nil {
				return append(answers, answer(err))
			}
			answers = append(answers, Answer(strings.TrimSpace(string(text))))
		case "drop":
			answers = append(answers, answer(sys.DropCapabilities()))
		case "make":
			answers = append(answers,
				made(map[string]int{"0": 0, "MFD_EXEC": sys.MfdExec, "MFD_NOEXEC_SEAL": sys.MfdNoexecSeal}[value]))
		case "nest":
			below, err := t.stage("noexec", inPIDNamespace(), nil, args[i+1:]...)
			if err != nil {
				return append(answers, answer(err))
			}
			return append(answers, below...)
		}
	}
	return answers
}

// made says what becomes of a memfd that is asked for.
func made(flags int) Answer {
	f, err := sys.MemfdCreate("safevma-probe", flags)
	if err != nil {
		return answer(err)
	}
	defer f.Close()
	st, err := sys.Stat(f)
	if err != nil {
		return answer(err)
	}
	has, err := sys.Seals(f)
	if err != nil {
		return answer(err)
	}
	switch x := st.Mode&0o111 != 0; {
	case x:
		return executable
	case has&sys.SealExec != 0:
		return noexec
	}
	return "not executable, not sealed so"
}

// inNamespace does the steps of [noexecStage] in a fresh PID namespace, and returns the
// last answer. A step that sets something up must succeed.
func (t *trial) inNamespace(steps []string) Answer {
	attr := inPIDNamespace()
	answers, err := t.stage("noexec", attr, nil, steps...)
	if err != nil {
		return answer(err)
	}
	for i, a := range answers[:len(answers)-1] {
		if a != OK {
			return answerf("step %d (%s): %s", i+1, steps[i], a)
		}
	}
	return answers[len(answers)-1]
}

// level says whether vm.memfd_noexec can be tried here, and stops the probe if not.
func (t *trial) level() {
	if _, err := os.Stat(noexecPath); err != nil {
		t.stop(Missing, "%v", err)
	}
	answers, err := t.stage("noexec", inPIDNamespace(), nil, "set 1")
	if err != nil {
		t.stop(kind(err), "a fresh PID namespace: %v", err)
	}
	if answers[0] != OK {
		t.stop(Privilege, "writing vm.memfd_noexec in a fresh PID namespace: %s", answers[0])
	}
}

type steps = []string

// noexecProbe is a probe of what happens in PID namespaces.
func noexecProbe(id, row, claim, source, try, on string, subject steps, confirms, refutes []Answer, controls ...control[steps]) Probe {
	p := Probe{
		ID: id, Subject: Memfd, Row: row, Since: "6.3", Source: source, Claim: claim,
		Experiment: try + " in " + on, Control: "the same in " + controls[0].on,
		Oracle:  join(confirms) + ": confirmed; " + join(refutes) + ": refuted",
		Cleanup: "the namespaces end with their processes; the host's value is never written",
		Needs:   Needs{Privilege: "CAP_SYS_ADMIN, or user namespaces (a fresh PID namespace)"},
	}
	p.run = func(t *trial) {
		t.level()
		compare(t, experiment[steps]{try: try, do: t.inNamespace, on: on, subject: subject, confirms: confirms,
			refutes: refutes, controls: controls})
	}
	return p
}

func noexecProbes() []Probe {
	const level = "a PID namespace with vm.memfd_noexec="
	all := []Probe{
		noexecProbe("nx-0-plain", "", "at level 0 a memfd made without flags is executable", docNoex, "memfd_create(0)",
			level+"0",
			steps{"set 0", "make 0"}, []Answer{executable}, []Answer{noexec}, control[steps]{level + "1",
				steps{"set 1", "make 0"}, noexec}),
		noexecProbe("nx-1-plain", "", "at level 1 a memfd made without flags is as with MFD_NOEXEC_SEAL", docNoex,
			"memfd_create(0)", level+"1",
			steps{"set 1", "make 0"}, []Answer{noexec}, []Answer{executable}, control[steps]{level + "0",
				steps{"set 0", "make 0"}, executable}),
		noexecProbe("nx-1-exec", "", "at level 1 MFD_EXEC still makes an executable memfd", docNoex,
			"memfd_create(MFD_EXEC)", level+"1",
			steps{"set 1", "make MFD_EXEC"}, []Answer{executable}, []Answer{"EACCES", "EINVAL", noexec},
			control[steps]{level + "1, with MFD_NOEXEC_SEAL", steps{"set 1", "make MFD_NOEXEC_SEAL"}, noexec}),
		noexecProbe("nx-2-plain", "NX-2",
			"at level 2 memfd_create without MFD_NOEXEC_SEAL is rejected (here: without flags)", docNoex, "memfd_create(0)",
			level+"2",
			steps{"set 2", "make 0"}, []Answer{"EACCES", "EINVAL"}, []Answer{noexec, executable},
			control[steps]{level + "2, with MFD_NOEXEC_SEAL", steps{"set 2", "make MFD_NOEXEC_SEAL"}, noexec},
			control[steps]{level + "0", steps{"set 0", "make 0"}, executable}),
		noexecProbe("nx-2-exec", "NX-2", "at level 2 memfd_create without MFD_NOEXEC_SEAL is rejected (here: with MFD_EXEC)",
			docNoex, "memfd_create(MFD_EXEC)", level+"2",
			steps{"set 2", "make MFD_EXEC"}, []Answer{"EACCES", "EINVAL"}, []Answer{executable, noexec},
			control[steps]{level + "0", steps{"set 0", "make MFD_EXEC"}, executable}),
		noexecProbe("nx-inherit", "NX-NS", "a new PID namespace inherits the level of its parent", docNoex,
			"read of vm.memfd_noexec", "a namespace below one with level 1",
			steps{"set 1", "nest", "get"}, []Answer{"1"}, []Answer{"0",
				"2"}, control[steps]{"a namespace below one with level 2", steps{"set 2", "nest", "get"}, "2"}),
		noexecProbe("nx-lower-below", "NX-NS", "a namespace can't have a lower level than its parent", "Linux commit 9876cfe8ec1c, vm.memfd_noexec made hierarchical (6.6)", "write of 0",
			"a namespace below one with level 2",
			steps{"set 2", "nest", "set 0"}, []Answer{"EINVAL", "EPERM", "EACCES"}, []Answer{OK},
			control[steps]{"a namespace below one with level 0", steps{"set 0", "nest", "set 0"}, OK}),
		noexecProbe("nx-lower-same", "NX-NS", "a level that was raised can't be lowered again in the same namespace",
			"Linux commit 105ff5339f49, as first merged (6.3)", "write of 0", level+"2, by its root",
			steps{"set 2", "set 0"}, []Answer{"EINVAL", "EPERM", "EACCES"}, []Answer{OK},
			control[steps]{"a namespace below one with level 2", steps{"set 2", "nest", "set 0"}, "EINVAL"}),
		noexecProbe("nx-lower-unprivileged", "NX-NS", "a process without CAP_SYS_ADMIN can't change the level", "Linux kernel/pid_sysctl.h",
			"write of 0", level+"2, without capabilities",
			steps{"set 2", "drop", "set 0"}, []Answer{"EPERM",
				"EACCES"}, []Answer{OK}, control[steps]{level + "2, with them", steps{"set 2", "set 0"}, OK}),
		noexecProbe("nx-range", "", "levels other than 0, 1 and 2 are refused", "Linux kernel/pid_sysctl.h", "write of 3",
			"a fresh PID namespace",
			steps{"set 3"}, []Answer{"EINVAL"}, []Answer{OK}, control[steps]{"a fresh PID namespace, of 2", steps{"set 2"},
				OK}),
	}
	for i := range all {
		if id := all[i].ID; id == "nx-lower-below" || id == "nx-lower-same" {
			all[i].Requirement = "SV-XDM-04"
			all[i].Remedy = "Set the level in a namespace above that of the workload, or take CAP_SYS_ADMIN from it."
		}
	}
	return append(all, noexecLog())
}

// noexecLog is a probe of the kernel's log, which it reads from its end on, without
// changing it.
func noexecLog() Probe {
	return Probe{
		ID: "nx-log", Subject: Memfd, Since: "6.3", Source: "Linux mm/memfd.c: check_sysctl_memfd_noexec",
		Claim:      "a memfd that level 2 refuses is told of in the kernel's log",
		Experiment: "memfd_create(MFD_EXEC) at level 2, then what is new in /dev/kmsg",
		Control:    "the same with MFD_NOEXEC_SEAL",
		Oracle:     "a line with memfd_create: confirmed; none, twice within six seconds: unknown, since the kernel leaves lines out that are too many",
		Needs:      Needs{Privilege: "CAP_SYSLOG, and CAP_SYS_ADMIN or user namespaces", Alone: true},
		run: func(t *trial) {
			t.level()
			f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|syscall.O_NONBLOCK, 0)
			t.must("/dev/kmsg", err)
			defer f.Close()
			log := func(s steps) Answer {
				_, err := f.Seek(0, 2)
				t.must("/dev/kmsg", err)
				t.inNamespace(s)
				return whether(strings.Contains(news(f), "memfd_create"))
			}
			do := func(s steps) Answer {
				a := log(s)
				if a == no && s[len(s)-1] == "make MFD_EXEC" {
					t.note("again", "no line; the kernel writes ten of them in five seconds (printk_ratelimit)")
					time.Sleep(t.span(6 * time.Second))
					a = log(s)
				}
				return a
			}
			compare(t, experiment[steps]{try: "a line in /dev/kmsg", do: do, on: "MFD_EXEC at level 2",
				subject:  steps{"set 2", "make MFD_EXEC"},
				confirms: []Answer{yes},
				controls: []control[steps]{{"MFD_NOEXEC_SEAL at level 2", steps{"set 2", "make MFD_NOEXEC_SEAL"}, no}}})
		},
	}
}

// news reads what the log holds further on.
func news(kmsg *os.File) string {
	var all strings.Builder
	for b := make([]byte, 8192); ; {
		n, err := sys.Read(kmsg, b)
		if err == syscall.EPIPE { // lines were lost; go on
			continue
		}
		if err != nil || n <= 0 {
			return all.String()
		}
		all.Write(b[:n])
	}
}
