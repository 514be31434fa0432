package memfd_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/memfd"
	"github.com/safevma/safevma/kernel/process"
)

func who(t *testing.T, p *process.Process) memfd.Process {
	t.Helper()
	info, err := p.Info()
	if err != nil {
		t.Fatal(err)
	}
	return memfd.Process{PID: info.PID, StartTime: info.StartTime, Comm: info.Comm}
}

// collect makes an inventory of some processes, as an audit does.
func collect(t *testing.T, dev memfd.Devices, pids ...int) *memfd.Inventory {
	t.Helper()
	var inv memfd.Inventory
	for _, pid := range pids {
		p := pin(t, pid)
		who := who(t, p)
		for _, d := range holders(t, p, dev) {
			inv.AddDescriptor(who, d)
		}
		if a, ok, err := memfd.Executing(p, dev); err != nil {
			t.Fatal(err)
		} else if ok {
			inv.AddExecuting(who, a)
		}
		for _, m := range maps(t, pid) {
			inv.AddMapping(who, dev, m.mapping())
		}
	}
	return &inv
}

// Each file appears once, with all who hold it, in the same order whatever the order of
// the processes was.
func TestInventoryJoinsProcesses(t *testing.T) {
	dev := learn(t)
	first, made1 := act[[]made](t, "hold")
	second, made2 := act[[]made](t, "hold")
	a := collect(t, dev, first.Process.Pid, second.Process.Pid)
	b := collect(t, dev, second.Process.Pid, first.Process.Pid)
	files := a.Files()
	if len(files) != len(made1)+len(made2) {
		t.Errorf("%d files, want %d", len(files), len(made1)+len(made2))
	}
	others := b.Files()
	for i, f := range files {
		if fmt.Sprint(*f) != fmt.Sprint(*others[i]) {
			t.Errorf("the order of the processes matters:\n%+v\n%+v", *f, *others[i])
		}
		if len(f.Holders) != 1 || len(f.Holders[0].FDs) != 1 || f.AttributesErr != nil {
			t.Errorf("%q: %+v, %v", f.Name, f.Holders, f.AttributesErr)
		}
		if a.Lookup(f.ID) != f {
			t.Errorf("Lookup(%v) finds another", f.ID)
		}
	}
}

// A memfd that was closed after it was mapped is found, and what it is can be found out
// with the privilege.
func TestInventoryOfMappedOnly(t *testing.T) {
	dev := learn(t)
	a, want := act[made](t, "others")
	inv := collect(t, dev, a.Process.Pid)
	files := inv.Files()
	if len(files) != 1 {
		t.Fatalf("%d files, want the closed memfd alone", len(files))
	}
	f := files[0]
	if f.Name != "closed" || f.Kind != memfd.Memfd || f.ID.Inode != want.Ino || len(f.Holders) != 0 {
		t.Errorf("found %+v", f)
	}
	if !errors.Is(f.AttributesErr, memfd.ErrOnlyMapped) || f.SealsErr == nil {
		t.Errorf("attributes %v, seals %v: from a mapping they are unknown", f.AttributesErr, f.SealsErr)
	}
	if len(f.Mappers) != 1 || f.Mappers[0].Start != want.Start || f.Mappers[0].End != want.End || f.Mappers[0].Perms != "rw-s" || !f.Mappers[0].Shared || f.Mappers[0].PID != a.Process.Pid {
		t.Errorf("mapped by %+v, want %#x-%#x rw-s of %d", f.Mappers, want.Start, want.End, a.Process.Pid)
	}
	attr, ok, err := memfd.Mapped(pin(t, a.Process.Pid), dev, want.Start, want.End)
	if os.Geteuid() != 0 {
		if !errors.Is(err, process.ErrDenied) {
			t.Errorf("Mapped as an ordinary user: %v, want %v", err, process.ErrDenied)
		}
		return
	}
	if err != nil || !ok {
		t.Fatalf("Mapped: %v, %v", ok, err)
	}
	inv.Describe(attr)
	if f.AttributesErr != nil || f.SealsErr != nil || uint32(f.Seals) != want.Seals || f.Mode&0o7777 != want.Mode || f.Size != 4096 {
		t.Errorf("after Describe: %+v", f)
	}
}

// What was mapped and is not a memfd is not described, and what is not mapped is gone.
func TestMappedOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("takes the privilege to follow map_files")
	}
	dev := learn(t)
	a, _ := act[made](t, "others")
	p := pin(t, a.Process.Pid)
	n := 0
	for _, m := range maps(t, a.Process.Pid) {
		if m.inode == 0 {
			continue
		}
		_, ok, err := memfd.Mapped(p, dev, m.start, m.end)
		if err != nil {
			t.Errorf("%+v: %v", m, err)
		}
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d mappings of memfds, want 1", n)
	}
	if _, ok, err := memfd.Mapped(p, dev, 0x1000, 0x2000); ok || !errors.Is(err, process.ErrGone) {
		t.Errorf("nothing is mapped there: %v, %v", ok, err)
	}
}

// A program that runs from a memfd is found though it closed every descriptor of it.
func TestExecuting(t *testing.T) {
	if f, err := create(&made{}, sys.MfdExec); errors.Is(err, syscall.EACCES) {
		t.Skip("this host permits no executable memfds")
	} else if err == nil {
		f.Close()
	}
	dev := learn(t)
	a, _ := act[int](t, "runmemfd")
	inv := collect(t, dev, a.Process.Pid)
	i := slices.IndexFunc(inv.Files(), func(f *memfd.File) bool { return f.Name == "program" })
	if i < 0 {
		t.Fatal("the program is not in the inventory")
	}
	f := inv.Files()[i]
	if len(f.Executing) != 1 || f.Executing[0].PID != a.Process.Pid || len(f.Holders) != 0 || len(f.Mappers) == 0 {
		t.Errorf("run by %+v, held by %+v, %d mappings", f.Executing, f.Holders, len(f.Mappers))
	}
	if f.AttributesErr != nil || f.SealsErr != nil || !f.Executable() || f.Size == 0 || f.Allocated < f.Size {
		t.Errorf("attributes %+v, %v", f.Attributes, f.AttributesErr)
	}
	// The twin runs an ordinary file.
	twin, _ := act[int](t, "noexec", "inherit")
	if _, ok, err := memfd.Executing(pin(t, twin.Process.Pid), dev); ok || err != nil {
		t.Errorf("ordinary program: %v, %v", ok, err)
	}
}

// What one process lets be read is not forgotten for another that does not.
func TestInventoryKeepsKnownSeals(t *testing.T) {
	id := memfd.ID{Device: memfd.Device{Minor: 1}, Inode: 5}
	known := memfd.Descriptor{Attributes: memfd.Attributes{ID: id, Kind: memfd.Memfd, Seals: memfd.SealWrite}, FD: 3}
	unknown := memfd.Descriptor{Attributes: memfd.Attributes{ID: id, Kind: memfd.Memfd, SealsErr: errors.New("refused")}, FD: 4}
	for _, order := range [][]memfd.Descriptor{{known, unknown}, {unknown, known}} {
		var inv memfd.Inventory
		for i, d := range order {
			inv.AddDescriptor(memfd.Process{PID: i}, d)
		}
		if f := inv.Lookup(id); f.SealsErr != nil || f.Seals != memfd.SealWrite || len(f.Holders) != 2 {
			t.Errorf("seals %v, %v, %d holders", f.Seals, f.SealsErr, len(f.Holders))
		}
	}
	var empty memfd.Inventory
	if len(empty.Files()) != 0 || empty.Lookup(id) != nil {
		t.Error("an empty inventory has files")
	}
}

// The order is that of device and inode, process, and number or address, whatever the
// order was in which they were seen.
func TestInventoryOrder(t *testing.T) {
	dev := memfd.Devices{Memfd: memfd.Device{Minor: 1}, Secret: memfd.Device{Minor: 14}}
	var all []func(*memfd.Inventory)
	for _, minor := range []uint32{1, 14} {
		for inode := range uint64(2) {
			for pid := range 3 {
				who := memfd.Process{PID: pid, StartTime: uint64(pid)}
				attr := memfd.Attributes{ID: memfd.ID{Device: memfd.Device{Minor: minor}, Inode: inode}, Kind: memfd.Memfd}
				path := map[uint32]string{1: "/memfd:x (deleted)", 14: "/secretmem (deleted)"}[minor]
				for n := range 2 {
					all = append(all,
						func(v *memfd.Inventory) { v.AddDescriptor(who, memfd.Descriptor{Attributes: attr, FD: n}) },
						func(v *memfd.Inventory) {
							v.AddMapping(who, dev, memfd.Mapping{Minor: minor, Inode: inode, Path: path, Start: uint64(n), Perms: "r--p"})
						})
				}
				all = append(all, func(v *memfd.Inventory) { v.AddExecuting(who, attr) })
			}
		}
	}
	text := func() string {
		var v memfd.Inventory
		for _, add := range all {
			add(&v)
		}
		var b strings.Builder
		for _, f := range v.Files() {
			fmt.Fprintf(&b, "%+v %+v %+v %+v\n", f.ID, f.Holders, f.Mappers, f.Executing)
		}
		return b.String()
	}
	want := text()
	slices.Reverse(all)
	if got := text(); got != want {
		t.Errorf("seen in reverse:\n%s\nnot\n%s", got, want)
	}
}
