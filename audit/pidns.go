package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/rules"
)

// namespace is a PID namespace in which processes were seen.
type namespace struct {
	inode    uint64
	members  []int
	declared bool
	inScope  bool
}

// namespaces returns the PID namespaces of the processes, in the order of their inode
// numbers. Processes whose namespace is hidden are in none.
func namespaces(subjects []*subject) []*namespace {
	found := map[uint64]*namespace{}
	for _, s := range subjects {
		inode := s.info.PIDNamespace
		if inode == 0 {
			continue
		}
		n := found[inode]
		if n == nil {
			n = &namespace{inode: inode}
			found[inode] = n
		}
		n.members = append(n.members, s.info.PID)
		n.declared = n.declared || s.declared
		n.inScope = n.inScope || s.inScope
	}
	var all []*namespace
	for _, inode := range slices.Sorted(maps.Keys(found)) {
		all = append(all, found[inode])
	}
	return all
}

// judgeNamespaces tries in each PID namespace what vm.memfd_noexec does there.
func (a *auditor) judgeNamespaces(ctx context.Context, subjects []*subject) []guarantee.Verdict {
	of := a.rulesOf(rules.SubjectPIDNS)
	if len(of) == 0 || !a.Proc.Live() {
		return a.unknownNamespaces(of)
	}
	var verdicts []guarantee.Verdict
	all := namespaces(subjects)
	hidden := 0
	for _, s := range subjects {
		if s.judged() && s.info.PIDNamespace == 0 {
			hidden++
		}
	}
	for _, r := range of {
		if hidden > 0 && !r.Declared {
			result := rules.Result{Status: guarantee.Unknown, Message: fmt.Sprintf("the PID namespaces of %d processes are hidden", hidden)}
			verdicts = append(verdicts, a.verdict(r, a.hostSubject(), guarantee.Since(a.start), a.controls.host, result, guarantee.Observation{Source: a.Proc.Path("PID", "ns", "pid")}))
		}
	}
	if len(all) == 0 {
		all = []*namespace{{members: []int{selfPID}, inScope: true}}
	}
	for _, n := range all {
		if !n.inScope {
			continue
		}
		window := guarantee.Since(a.start)
		policy, err := a.policy(ctx, n)
		facts := pidnsFacts(n, &policy, err)
		about := guarantee.Subject{Kind: guarantee.KindPIDNS, Name: fmt.Sprintf("pid:[%d]", facts.Inode), Inode: uint64(facts.Inode), Declared: n.declared}
		observation := guarantee.Observation{Source: "memfd_create(2) and " + memfd.NoexecPath + " in the namespace", Total: 1}
		if err == nil {
			observation.Raw = policy.Raw()
			observation.Total = len(observation.Raw)
		}
		for _, r := range of {
			if r.Declared && !n.declared {
				continue
			}
			result := r.Eval(&rules.Facts{PIDNS: facts, Host: &a.view.Host})
			v := a.verdict(r, about, window, policyControl(&policy, err), result, observation)
			v.Method = guarantee.Probe
			verdicts = append(verdicts, v)
		}
	}
	return verdicts
}

func (a *auditor) unknownNamespaces(of []*rules.Rule) []guarantee.Verdict {
	var verdicts []guarantee.Verdict
	for _, r := range of {
		result := rules.Result{Status: guarantee.Unknown, Message: "nothing can be tried: " + a.Proc.Root() + " is not the running kernel's"}
		verdicts = append(verdicts, a.verdict(r, a.hostSubject(), guarantee.Since(a.start), a.controls.host, result, guarantee.Observation{Source: a.Proc.Root()}))
	}
	return verdicts
}

// policy asks one member after another, since each may end meanwhile.
func (a *auditor) policy(ctx context.Context, n *namespace) (memfd.Policy, error) {
	var err error
	for _, pid := range n.members {
		var p *process.Process
		if p, err = a.Proc.Open(pid); err != nil {
			continue
		}
		var policy memfd.Policy
		policy, err = memfd.InNamespace(ctx, p, a.PolicyHelper)
		p.Close()
		if err == nil {
			return policy, nil
		}
		if ctx.Err() != nil || errors.Is(err, process.ErrDenied) || errors.Is(err, memfd.ErrNoAnswer) {
			break // so it would be for the next one
		}
	}
	return memfd.Policy{}, err
}

func pidnsFacts(n *namespace, policy *memfd.Policy, err error) *rules.PIDNamespace {
	f := &rules.PIDNamespace{Inode: int64(n.inode), Processes: int64(len(n.members)), Declared: n.declared, Unknown: map[string]string{}}
	if err != nil {
		f.Unknown = rules.Unread(guarantee.Text(err.Error()), "memfd_noexec", "exec_refused", "lowerable", "own")
		return f
	}
	f.Inode = int64(policy.Namespace)
	if policy.Declared != nil {
		f.MemfdNoexec = int64(*policy.Declared)
	} else {
		f.Unknown["memfd_noexec"] = policy.DeclaredError
	}
	refused, known := policy.ExecutableRefused()
	f.ExecRefused = refused
	if !known {
		f.Unknown["exec_refused"] = "the attempts contradict each other, or failed for another reason"
	}
	if f.Lowerable, known = policy.Lowerable(); !known {
		f.Unknown["lowerable"] = "the namespace above has a lower value, so a process with CAP_SYS_ADMIN inside could lower it; that is not tried"
	}
	if own, err := process.Default().Open(selfPID); err == nil {
		if st, err := own.Stat("ns/pid"); err == nil {
			f.Own = st.Ino == policy.Namespace
		}
		own.Close()
	}
	return f
}

func policyControl(policy *memfd.Policy, err error) guarantee.Control {
	switch {
	case err != nil:
		return guarantee.Control{Status: guarantee.ControlAbsent, Detail: "the namespace could not be entered: " + guarantee.Text(err.Error())}
	case !policy.Control():
		return guarantee.Control{Status: guarantee.ControlFailed, Detail: "a memfd sealed against execution could not be made, so a refusal says nothing: " + policy.NoexecSeal.String()}
	}
	return guarantee.Control{Status: guarantee.ControlPassed, Detail: "in the same namespace " + policy.NoexecSeal.String() + ", and it can't be made executable"}
}
