package probe

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/safevma/safevma/kernel/cgroup"
)

func init() { stages["hog"] = hogStage }

// hogStage sets its oom_score_adj, and then, for each line of numbers that comes on its
// descriptor 3, fills that many more MiB and says so on descriptor 4. It ends with the
// descriptor.
func hogStage(t *trial, args []string) []Answer {
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte(args[0]), 0); err != nil {
		return []Answer{answer(err)}
	}
	orders, replies := os.NewFile(3, "orders"), os.NewFile(4, "replies")
	fmt.Fprintln(replies, "ready")
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		mib, err := strconv.Atoi(lines.Text())
		if err != nil {
			break
		}
		fill(t.untouched(mib << 20 / pageSize))
		fmt.Fprintln(replies, "filled")
	}
	return []Answer{OK}
}

// hog is a process that takes memory when it is told to.
type hog struct {
	cmd    *exec.Cmd
	orders *os.File
	words  *bufio.Reader
}

// hog starts a hog in the group of this process.
func (t *trial) hog(adj int) *hog {
	orders, toHog := t.pipe()
	fromHog, replies := t.pipe()
	cmd := self(syscall.SysProcAttr{}, []*os.File{orders, replies})
	in, err := cmd.StdinPipe()
	t.must("a pipe", err)
	t.must("a process", cmd.Start())
	t.must("a request", json.NewEncoder(in).Encode(request{Probe: t.request.Probe, Stage: "hog",
		Args: []string{strconv.Itoa(adj)}}))
	in.Close()
	orders.Close()
	replies.Close()
	h := &hog{cmd, toHog, bufio.NewReader(fromHog)}
	if word := h.word(); word != "ready\n" {
		t.stop(Failed, "a process that is to take memory said %q", word)
	}
	return h
}

// word is the next one, empty where the process has ended.
func (h *hog) word() string {
	word, err := h.words.ReadString('\n')
	if err != nil && err != io.EOF {
		return err.Error()
	}
	return word
}

// take has it fill more memory, and reports whether it has lived to say so.
func (h *hog) take(mib int) bool {
	fmt.Fprintln(h.orders, mib)
	return h.word() == "filled\n"
}

// end ends it, and reports whether the kernel had killed it before.
func (h *hog) end() bool {
	h.orders.Close()
	err := h.cmd.Wait()
	return err != nil && h.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

// cgroupProbes are about a limit of memory, and whom the kernel kills for it. The limit is of
// an own group: nobody else can be chosen.
func cgroupProbes() []Probe {
	const limit = 128 << 20
	needs := Needs{Cgroup: limit, Privilege: "the right to make a memory cgroup", Alone: true}
	// Of what a killed process had, the kernel frees the last 40 MiB (of one batch) a little
	// after it is ready to kill the next one: the small one is to have much more.
	choice := needs
	choice.Cgroup, choice.Limit = 256<<20, time.Minute
	return []Probe{{
		ID: "oom-limit", Subject: Residency,
		Source: "Documentation/admin-guide/cgroup-v2.rst, memory.max; cgroup-v1/memory.rst", Needs: needs,
		Requirement: "SV-OOM-01",
		Claim:       "a process that needs more than the limit of its group is killed, and that is counted",
		Experiment:  "a process that fills 256 MiB in a group with 128 MiB", Control: "a process that fills 16 MiB",
		Oracle: "killed, counted: confirmed; alive: refuted", Cleanup: "the group is removed",
		run: func(t *trial) {
			compare(t, experiment[int]{try: "filling memory", do: func(mib int) Answer {
				before, err := cgroup.Killed(t.request.Cgroup)
				t.must("the group", err)
				h := t.hog(500)
				lived := h.take(mib)
				killed := h.end()
				after, err := cgroup.Killed(t.request.Cgroup)
				t.must("the group", err)
				switch {
				case lived && !killed && after == before:
					return "alive"
				case !lived && killed && after > before:
					return "killed, counted"
				}
				return answerf("filled %v, killed %v, counted %d", lived, killed, after-before)
			},
				on: "256 MiB in a group with 128 MiB", subject: 256, confirms: []Answer{"killed, counted"},
				refutes: []Answer{"alive"}, controls: []control[int]{{"16 MiB", 16, "alive"}}})
		},
	}, {
		ID: "oom-choice", Subject: Residency, Source: "proc_pid_oom_score_adj(5)", Needs: choice, Requirement: "SV-OOM-01",
		Claim:      "of two processes the kernel kills the one with the higher oom_score_adj, though the other one is bigger and asked for the memory",
		Experiment: "a process with 96 MiB and oom_score_adj 1000; one with 0 that fills 160 MiB, in a group with 256 MiB",
		Control:    "the values the other way round",
		Oracle:     "the small one: confirmed; the big one: refuted", Cleanup: "the group is removed",
		run: func(t *trial) {
			type pair struct{ small, big int }
			compare(t, experiment[pair]{try: "the kernel's choice", do: func(p pair) Answer {
				a := t.choice(p.small, p.big)
				// Memory of the killed one is free a little later; until then the kernel may kill
				// again, and no choice is to be seen.
				for end := time.Now().Add(15 * time.Second); a == "both" && time.Now().Before(end); {
					a = t.choice(p.small, p.big)
				}
				return a
			},
				on: "oom_score_adj 1000 and 0", subject: pair{1000, 0}, confirms: []Answer{"the small one"},
				refutes:  []Answer{"the big one"},
				controls: []control[pair]{{"oom_score_adj 0 and 1000", pair{0, 1000}, "the big one"}}})
		},
	}}
}

// choice has two processes take memory in turns, and says which one the kernel kills.
func (t *trial) choice(adjSmall, adjBig int) Answer {
	small, big := t.hog(adjSmall), t.hog(adjBig)
	early := !small.take(96) || !big.take(80)
	if !early {
		big.take(80)
	}
	killedBig := big.end()
	killedSmall := small.end()
	switch {
	case early:
		return "killed too early"
	case killedSmall && killedBig:
		return "both"
	case killedSmall:
		return "the small one"
	case killedBig:
		return "the big one"
	}
	return "none"
}
