package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/rules"
)

// hostView is the facts of the host as rules see them, with the kernel's words for each.
type hostView struct {
	rules.Host
	raw map[string]string // by fact
	// facts are the keys of raw, sorted: there are thousands of kconfig alone.
	facts []string
	// tree: this is a proc file system, so that what it lacks the kernel lacks.
	tree bool
	// method is the method of a fact where it is not a reading.
	method map[string]guarantee.Method
}

// judgeHost applies the rules about the host.
func (a *auditor) judgeHost() []guarantee.Verdict {
	var verdicts []guarantee.Verdict
	for _, r := range a.rulesOf(rules.SubjectHost) {
		result := r.Eval(&rules.Facts{Host: &a.view.Host})
		raw, method := a.view.observed(r)
		v := a.verdict(r, a.hostSubject(), a.host.Window, a.controls.host, result, guarantee.Observation{
			Source: strings.Join(r.Needs(), ", "), Raw: raw, Total: len(raw),
		})
		v.Method = method
		verdicts = append(verdicts, v)
	}
	return verdicts
}

// observed returns the kernel's words for the facts that a rule needs, and the weakest
// method by which one of them is known.
func (h *hostView) observed(r *rules.Rule) ([]string, guarantee.Method) {
	method := r.Method
	var raw []string
	for _, need := range r.Needs() {
		name, ok := strings.CutPrefix(need, "host.")
		if !ok {
			continue
		}
		if text, ok := h.raw[name]; ok {
			raw = append(raw, text)
		}
		if m, ok := h.method[name]; ok && weaker(m, method) {
			method = m
		}
		entries, _ := slices.BinarySearch(h.facts, name+".") // where the fact is a map
		for _, fact := range h.facts[entries:] {
			entry, ok := strings.CutPrefix(fact, name+".")
			if !ok {
				break
			}
			if !strings.Contains(r.When, entry) {
				continue
			}
			raw = append(raw, h.raw[fact])
			if weaker(h.method[fact], method) {
				method = h.method[fact]
			}
		}
	}
	return raw, method
}

func weaker(a, b guarantee.Method) bool { return a == guarantee.Inference && b != guarantee.Inference }

// take enters a fact: its value, or why it is unknown.
func take[T any](h *hostView, name string, v host.Value[T], set func(T)) {
	source := v.Source
	if source == "" {
		source = name
	}
	value, err := v.Get()
	if err != nil {
		h.Unknown[name] = guarantee.Text(err.Error())
		h.raw[name] = source + ": " + guarantee.Text(err.Error())
		return
	}
	set(value)
	h.raw[name] = source + ": " + rawText(v.Raw)
	if v.Method != guarantee.Read {
		h.method[name] = v.Method
	}
}

// rawText shortens a text of many lines.
func rawText(raw string) string {
	lines := strings.Split(strings.TrimSpace(raw), "\n")
	const most = 8
	shown := lines[:min(len(lines), most)]
	for i, line := range shown {
		shown[i] = guarantee.Text(line)
	}
	text := strings.Join(shown, "\n")
	if len(lines) > most {
		text += fmt.Sprintf("\n… %d lines in all", len(lines))
	}
	return text
}

// setting enters a number for which -1 stands where the kernel does not have it.
func setting(h *hostView, name string, v host.Value[int64], to *int64) {
	if _, err := v.Get(); err != nil && host.ReasonOf(err) == host.Absent && h.tree {
		*to = -1
		h.raw[name] = v.Source + ": absent"
		return
	}
	take(h, name, v, func(n int64) { *to = n })
}

func newHostView(f *host.Facts, files []*memfd.File, incomplete string) *hostView {
	h := &hostView{raw: map[string]string{}, method: map[string]guarantee.Method{}}
	h.Unknown = map[string]string{}
	h.tree = f.Commit.Mode.Known() // every kernel has that
	h.memory(f)
	h.settings(f)
	h.security(f)
	h.lastReaders(f)
	h.kernel(f)
	for _, file := range files {
		if file.Kind == memfd.Secret {
			h.SecretmemHolders++
		}
	}
	h.raw["secretmem_holders"] = fmt.Sprintf("%d files of secret memory seen in /proc/PID/fd and maps", h.SecretmemHolders)
	if incomplete != "" && h.SecretmemHolders == 0 {
		h.Unknown["secretmem_holders"] = incomplete
	}
	h.facts = slices.Sorted(maps.Keys(h.raw))
	return h
}

func (h *hostView) memory(f *host.Facts) {
	for name, entry := range map[string]struct {
		key string
		to  *int64
	}{
		"commit_limit": {"CommitLimit", &h.CommitLimit}, "committed_as": {"Committed_AS", &h.CommittedAS},
		"mem_total": {"MemTotal", &h.MemTotal}, "swap_total": {"SwapTotal", &h.SwapTotal},
		"direct_map_4k": {"DirectMap4k", &h.DirectMap4k}, "direct_map_2m": {"DirectMap2M", &h.DirectMap2M}, "direct_map_1g": {"DirectMap1G", &h.DirectMap1G},
	} {
		table, err := f.Memory.Info.Get()
		var n uint64
		if err == nil {
			n, err = table.Get(entry.key)
		}
		if err != nil {
			h.Unknown[name] = guarantee.Text(err.Error())
			continue
		}
		*entry.to = int64(n)
		h.raw[name] = fmt.Sprintf("%s: %s: %d kB", f.Memory.Info.Source, entry.key, n>>10)
	}
}

func (h *hostView) settings(f *host.Facts) {
	s := &f.Sysctls
	take(h, "overcommit_memory", f.Commit.Mode, func(m host.Overcommit) { h.OvercommitMemory = int64(m) })
	setting(h, "max_map_count", s.MaxMapCount, &h.MaxMapCount)
	setting(h, "ptrace_scope", s.PtraceScope, &h.PtraceScope)
	setting(h, "suid_dumpable", s.SuidDumpable, &h.SUIDDumpable)
	setting(h, "unprivileged_bpf_disabled", s.UnprivilegedBPF, &h.UnprivilegedBPFDisabled)
	setting(h, "unprivileged_userfaultfd", s.UnprivilegedUserfault, &h.UnprivilegedUserfaultfd)
	setting(h, "kptr_restrict", s.KptrRestrict, &h.KptrRestrict)
	setting(h, "ksm_run", f.KSM.Run, &h.KSMRun)
	setting(h, "panic_on_oom", f.OOM.Panic, &h.PanicOnOOM)
	setting(h, "oom_kill_allocating_task", f.OOM.KillAllocating, &h.OOMKillAllocatingTask)
	take(h, "core_pattern", s.CorePattern, func(p host.CorePattern) {
		h.CorePattern = guarantee.Text(p.Pattern)
		if p.Kind == "pipe" && !strings.HasPrefix(h.CorePattern, "|") {
			h.CorePattern = "|" + h.CorePattern
		}
	})
	if _, err := f.HugePages.Enabled.Get(); err != nil && host.ReasonOf(err) == host.Absent {
		h.THP = "absent"
	} else {
		take(h, "thp", f.HugePages.Enabled, func(c host.Choice) { h.THP = c.Selected })
	}
}

func (h *hostView) security(f *host.Facts) {
	take(h, "lockdown", f.Security.Lockdown, func(c host.Choice) { h.Lockdown = c.Selected })
	take(h, "lsms", f.Security.LSMs, func(l []string) { h.LSMs = l })
	h.device("kcore", f.LastReaders.Kcore, &h.Kcore)
	h.device("dev_mem", f.LastReaders.Mem, &h.DevMem)
	h.hibernation(f)
}

// device says of a way to memory whether it is there, and whether it opens.
func (h *hostView) device(name string, d host.Device, to *string) {
	there, err := d.Driver.Get()
	if err != nil {
		there, err = d.Node.Get()
	}
	switch {
	case err != nil:
		h.Unknown[name] = guarantee.Text(err.Error())
	case !there:
		*to = "absent"
	default:
		*to = "present"
		if opens, err := d.Opens.Get(); err == nil && opens {
			*to = "readable"
		}
	}
	h.raw[name] = fmt.Sprintf("%s: %s; %s: %s", d.Node.Source, rawText(d.Node.Raw), d.Opens.Source, rawText(d.Opens.Raw))
}

func (h *hostView) hibernation(f *host.Facts) {
	mode := f.SecretMemory.HibernationMode
	if _, err := mode.Get(); err != nil && host.ReasonOf(err) == host.Absent {
		h.raw["hibernation_available"] = mode.Source + ": absent: this kernel can't hibernate"
		return
	}
	take(h, "hibernation_available", mode, func(c host.Choice) { h.HibernationAvailable = c.Selected != "disabled" })
}

func (h *hostView) lastReaders(f *host.Facts) {
	l := &f.LastReaders
	take(h, "proc_mem_override", l.ProcMemOverride, func(s string) { h.ProcMemOverride = s })
	take(h, "uprobes", l.Uprobes, func(p []host.ProbeEvent) { h.Uprobes = int64(len(p)) })
	take(h, "kprobes", l.Kprobes, func(p []host.ProbeEvent) { h.Kprobes = int64(len(p)) })
	take(h, "bpf_programs", l.BPF, func(p []host.BPFProgram) { h.BPFPrograms = int64(len(p)) })
	take(h, "bpf_tracing_programs", l.BPF, func(p []host.BPFProgram) {
		for _, program := range p {
			if program.Reach == host.ReachTraced {
				h.BPFTracingPrograms++
			}
		}
	})
}

func (h *hostView) kernel(f *host.Facts) {
	take(h, "kconfig", f.Kernel.Config, func(c host.Config) {
		h.Kconfig = make(map[string]string, len(c))
		for symbol, value := range c {
			if value != "n" {
				h.Kconfig["CONFIG_"+symbol] = guarantee.Text(value)
				h.raw["kconfig.CONFIG_"+symbol] = f.Kernel.Config.Source + ": " + guarantee.Text(c.Line(symbol))
			}
		}
	})
	take(h, "cmdline", f.Kernel.Cmdline, func(c host.Cmdline) {
		h.Cmdline = make(map[string]string, len(c.Params))
		for _, p := range c.Params {
			h.Cmdline[guarantee.Text(p.Key)] = guarantee.Text(p.Value)
		}
	})
	take(h, "cpu_flags", f.CPU.Info, func(c host.CPUInfo) { h.CPUFlags = c.Flags })
	h.Hardening = map[string]string{}
	for _, d := range f.Hardening {
		take(h, "hardening."+d.ID, d.On, func(on bool) {
			h.Hardening[d.ID] = "off"
			if on {
				h.Hardening[d.ID] = "on"
			}
		})
	}
}
