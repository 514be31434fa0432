package verify_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/verify"
)

const page = 4096

// scene is memory of a victim: what the verdicts on it must be.
type scene struct {
	make    func() ([]byte, error)
	require []string
	holds   string // the names of what must hold
	broken  string // and of what must not
}

func mapped(size int, options ...region.Option) func() ([]byte, error) {
	return func() ([]byte, error) {
		r, err := region.Map(size, options...)
		if err != nil {
			return nil, err
		}
		return r.Bytes(), nil
	}
}

// damaged is a region that is changed by calls.
func damaged(make func() ([]byte, error), change func(b []byte) error) func() ([]byte, error) {
	return func() ([]byte, error) {
		b, err := make()
		if err == nil {
			err = change(b)
		}
		return b, err
	}
}

var scenes = map[string]scene{
	"secret": {mapped(page, region.Secret(), region.Resident(), region.Guarded(), region.Sealed()), nil,
		"Secret Alone Resident NoSwap Guarded Sealed NoDump NoFork NoExec NoMerge", ""},
	"locked": {mapped(2*page, region.Resident(), region.NoDump(), region.WipeOnFork(), region.Guarded()), nil,
		"Resident NoSwap Guarded NoDump NoFork NoExec NoMerge", ""},
	"read-only": {mapped(page, region.ReadOnly(func([]byte) error { return nil }), region.Guarded()), nil,
		"Guarded Sealed ReadOnly NoExec NoMerge", ""},
	"ordinary": {mapped(page, region.Guarded()), nil, "Guarded NoExec NoMerge", ""},
	"required": {mapped(page, region.Guarded()), []string{"NoSwap", "NoDump", "Guarded", "Secret"}, "Guarded NoExec NoMerge", "Secret NoSwap NoDump"},
	"secret that is dumped": {damaged(mapped(page, region.Secret()), func(b []byte) error { return sys.Madvise(b, sys.MadvDodump) }), []string{"NoDump"},
		"Secret Alone Resident NoSwap NoFork NoExec NoMerge", "NoDump"},
	"locked, thrown away": {damaged(mapped(4*page, region.Resident()), func(b []byte) error { return sys.Madvise(b[page:2*page], sys.MadvDontneedLocked) }), nil,
		"NoSwap NoExec NoMerge", "Resident"},
	"locked in part": {damaged(mapped(4*page, region.Resident(), region.NoDump()), func(b []byte) error { return sys.Munlock(b[page : 2*page]) }), nil,
		"Resident NoDump NoExec NoMerge", "NoSwap"},
	"dumped in part": {damaged(mapped(4*page, region.Resident(), region.NoDump()), func(b []byte) error { return sys.Madvise(b[page:2*page], sys.MadvDodump) }), nil,
		"Resident NoSwap NoExec NoMerge", "NoDump"},
	"inherited in part": {damaged(mapped(4*page, region.Resident(), region.NoFork()), func(b []byte) error { return sys.Madvise(b[page:2*page], sys.MadvDofork) }), nil,
		"Resident NoSwap NoExec NoMerge", "NoFork"},
	"sealed in part": {damaged(mapped(4*page, region.Resident(), region.NoFork()), func(b []byte) error { return sys.Mseal(b[page : 2*page]) }), nil,
		"Resident NoSwap NoFork NoExec NoMerge", "Sealed"},
	"locked, mergeable": {damaged(mapped(page, region.Resident()), func(b []byte) error { return sys.Madvise(b, sys.MadvMergeable) }), nil,
		"Resident NoSwap NoExec", "NoMerge"},
	"writable and executable": {damaged(mapped(page), func(b []byte) error {
		return sys.Mprotect(b, sys.ProtRead|sys.ProtWrite|sys.ProtExec)
	}), nil, "NoMerge", "NoExec"},
	// The verdict on what is not there comes after those on what is, in the place of a first one.
	"half there":                   {make: halfThere, require: []string{"NoFork"}, holds: "NoFork NoExec NoMerge", broken: "Secret"},
	"read-only, written elsewhere": {twice(sys.ProtRead, sys.SealFutureWrite), nil, "NoExec NoMerge Resident", "ReadOnly"},
	"guarded twice at one end":     {guardedOnce, []string{"Guarded"}, "NoFork NoExec NoMerge", "Guarded"},
	"written, executed elsewhere":  {twice(sys.ProtRead|sys.ProtWrite, 0), nil, "NoMerge Resident", "NoExec"},
}

// guardedOnce is memory with an inaccessible page and a guard mark on one side, and ordinary memory on
// the other.
func guardedOnce() ([]byte, error) {
	all, err := sys.Mmap(5*page, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0)
	if err != nil {
		return nil, err
	}
	inner := all[page : 4*page]
	return inner, errors.Join(sys.Mprotect(all[:page], sys.ProtNone), sys.Madvise(inner, sys.MadvDontfork),
		sys.Madvise(inner[:page], sys.MadvGuardInstall))
}

// halfThere is a page of a kind, and behind it addresses at which nothing is mapped.
func halfThere() ([]byte, error) {
	b := sys.MemoryAt(0x20000000, 2*page)
	return b, errors.Join(sys.MmapAt(b[:page], sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous, -1, 0),
		sys.Madvise(b[:page], sys.MadvDontfork))
}

// twice maps a file with one protection, and elsewhere so that it can be written, or where the
// first is, so that it can be executed.
func twice(prot, seals int) func() ([]byte, error) {
	return func() ([]byte, error) {
		file, err := sys.MemfdCreate("twice", sys.MfdNoexecSeal)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		other := sys.ProtRead | sys.ProtWrite
		if prot&sys.ProtWrite != 0 {
			other = sys.ProtRead | sys.ProtExec
		}
		if err := sys.Fallocate(file, 0, page); err != nil {
			return nil, err
		}
		if _, err := sys.Mmap(page, other, sys.MapShared, int(file.Fd()), 0); err != nil {
			return nil, err
		}
		if err := sys.AddSeals(file, seals); err != nil {
			return nil, err
		}
		b, err := sys.Mmap(page, prot, sys.MapShared, int(file.Fd()), 0)
		if err == nil {
			err = take(b)
		}
		return b, err
	}
}

const victimScene = "SAFEVMA_VERIFY_SCENE"

func TestMain(m *testing.M) {
	if name := os.Getenv(victimScene); name != "" {
		os.Exit(victim(name))
	}
	os.Exit(m.Run())
}

// victim makes a scene, says where it is, and lives until its input ends.
func victim(name string) int {
	b, err := scenes[name].make()
	if err != nil {
		fmt.Printf("cannot: %v\n", err)
		return 0
	}
	fmt.Printf("%x %x\n", sys.Addr(b)&^(page-1), (sys.Addr(b)+uint64(len(b))+page-1)&^(page-1))
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// take brings the first page in, by having the kernel read it.
func take(b []byte) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	_, err = w.Write(b[:1])
	return err
}

func startVictim(t *testing.T, name string) (pid int, start, end uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), victimScene+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.HasPrefix(line, "cannot") {
		t.Skip(line)
	}
	if _, scanErr := fmt.Sscanf(line, "%x %x", &start, &end); err != nil || scanErr != nil {
		t.Fatal(line, err, scanErr)
	}
	return cmd.Process.Pid, start, end
}

// What each victim shows is said of it, and nothing else.
func TestProcess(t *testing.T) {
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			pid, start, end := startVictim(t, name)
			result, err := verify.Process(process.Default(), pid, verify.Options{Start: start, End: end, Require: s.require})
			if errors.Is(err, process.ErrDenied) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			found := map[guarantee.Status]string{}
			for i := range result.Verdicts {
				v := &result.Verdicts[i]
				if err := v.Validate(); err != nil {
					t.Error(err)
				}
				if v.Status == guarantee.Unknown {
					t.Errorf("%s: %s; %s", v.Rule, v.Message, v.Control.Detail)
				}
				name := verify.Names()[i%len(verify.Names())]
				if name == "Guarded" && !strings.Contains(s.holds, name) && !strings.Contains(s.broken, name) {
					continue // by chance: an inaccessible mapping of the runtime may be beside it
				}
				found[v.Status] = strings.TrimSpace(found[v.Status] + " " + name)
			}
			if found[guarantee.Holds] != sorted(s.holds) || found[guarantee.Broken] != sorted(s.broken) || result.Areas != 1 {
				t.Errorf("%d areas\nholds  %q\nwant   %q\nbroken %q\nwant   %q", result.Areas, found[guarantee.Holds], sorted(s.holds), found[guarantee.Broken], sorted(s.broken))
			}
		})
	}
}

// sorted puts names in the order of the list.
func sorted(names string) string {
	var list []string
	for _, name := range verify.Names() {
		for _, want := range strings.Fields(names) {
			if want == name {
				list = append(list, name)
			}
		}
	}
	return strings.Join(list, " ")
}

// Without addresses, what shows protection is found.
func TestFinds(t *testing.T) {
	pid, start, end := startVictim(t, "secret")
	result, err := verify.Process(process.Default(), pid, verify.Options{})
	if errors.Is(err, process.ErrDenied) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%x-%x", start, end); result.Areas != 1 || !strings.HasPrefix(result.Verdicts[0].Subject.Name, want) {
		t.Errorf("%d areas, %v; want %s alone", result.Areas, result.Verdicts[0].Subject, want)
	}
	if _, err := verify.Process(process.Default(), pid, verify.Options{Require: []string{"Nothing"}}); !errors.Is(err, verify.ErrName) {
		t.Errorf("a name of nothing: %v", err)
	}
}

// Where nothing shows protection, nothing is said, unless it is required.
func TestNothing(t *testing.T) {
	pid, _, _ := startVictim(t, "ordinary")
	for _, require := range [][]string{nil, {"Secret"}} {
		result, err := verify.Process(process.Default(), pid, verify.Options{Require: require})
		if errors.Is(err, process.ErrDenied) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		if result.Areas != 0 || len(result.Verdicts) != len(require) {
			t.Errorf("required %v: %d areas, %v", require, result.Areas, result.Verdicts)
		}
		for i := range result.Verdicts {
			if err := result.Verdicts[i].Validate(); err != nil || result.Verdicts[i].Status != guarantee.Broken {
				t.Errorf("%v, %v", err, result.Verdicts[i])
			}
		}
	}
}

// What is required of addresses is required of all of them.
func TestGap(t *testing.T) {
	pid, start, end := startVictim(t, "half there")
	for end, want := range map[uint64]guarantee.Status{end: guarantee.Broken, end - page: guarantee.Holds} {
		result, err := verify.Process(process.Default(), pid, verify.Options{Start: start, End: end, Require: []string{"NoFork"}})
		if errors.Is(err, process.ErrDenied) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := guarantee.Holds
		for i := range result.Verdicts {
			if v := &result.Verdicts[i]; v.Status == guarantee.Broken {
				got = v.Status
				t.Log(v.Message, v.Observation.Raw)
			}
		}
		if got != want {
			t.Errorf("up to %x: %s, want %s", end, got, want)
		}
	}
}
