package audit

import (
	"errors"
	"slices"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/rules"
)

// inventory joins what was seen of memfds and secret memory in all processes.
func inventory(subjects []*subject, devices memfd.Devices) *memfd.Inventory {
	var all memfd.Inventory
	for _, s := range subjects {
		who := memfd.Process{PID: s.info.PID, StartTime: s.info.StartTime, Comm: s.info.Comm}
		for _, a := range s.unheld {
			all.Describe(a)
		}
		for _, d := range s.descriptors {
			all.AddDescriptor(who, d)
		}
		for _, m := range s.mapped {
			all.AddMapping(who, devices, m)
		}
		if s.running != nil {
			all.AddExecuting(who, *s.running)
		}
	}
	return &all
}

// memfdKind is the kind as rules spell it.
func memfdKind(k memfd.Kind) rules.Kind {
	switch k {
	case memfd.Secret:
		return rules.KindSecretmem
	case memfd.HugetlbMemfd:
		return rules.KindHugetlb
	}
	return rules.KindMemfd
}

// memfdFacts turns what was seen of a memfd into facts.
func memfdFacts(f *memfd.File, declared map[int]bool) *rules.Memfd {
	facts := &rules.Memfd{
		Name: guarantee.Text(f.Name), Kind: memfdKind(f.Kind).String(), Device: f.ID.Device.String(), Inode: int64(f.ID.Inode),
		Size: f.Size, Allocated: f.Allocated, Mode: int64(f.Mode & 0o7777), UID: int64(f.UID), Executable: f.Executable(),
		Seals: sealNames(f.Seals), Unknown: map[string]string{},
	}
	if f.AttributesErr != nil {
		facts.Unknown = rules.Unread(f.AttributesErr.Error(), "size", "allocated", "mode", "uid", "executable", "seals")
	}
	// Secret memory has no seals at all: that is known.
	if f.SealsErr != nil && !errors.Is(f.SealsErr, memfd.ErrNoSeals) {
		facts.Unknown["seals"] = f.SealsErr.Error()
	}
	for _, h := range f.Holders {
		facts.Holders = appendNew(facts.Holders, h.PID)
	}
	for _, m := range f.Mappers {
		facts.Mappers = appendNew(facts.Mappers, m.PID)
		if strings.Contains(m.Perms, "x") {
			facts.ExecMappers = appendNew(facts.ExecMappers, m.PID)
		}
		if m.Shared && strings.Contains(m.Perms, "w") {
			facts.WritableMappers = appendNew(facts.WritableMappers, m.PID)
		}
	}
	for _, p := range f.Executing {
		facts.Executing = appendNew(facts.Executing, p.PID)
	}
	for pid := range declared {
		facts.Declared = facts.Declared || slices.Contains(facts.Holders, pid) || slices.Contains(facts.Mappers, pid) || slices.Contains(facts.Executing, pid)
	}
	return facts
}

func sealNames(s memfd.Seals) []string {
	if s == 0 {
		return nil
	}
	return strings.Fields(s.String())
}
