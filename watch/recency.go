package watch

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// RecencySchema names the JSON form of [Recency].
const RecencySchema = "safevma.recency/v1"

// Recency is the mappings whose pages the kernel reclaims first, because of advice.
//
// Reclaim does not look at the accessed bit of pages that are mapped with MADV_SEQUENTIAL
// alone, and since Linux 6.3 with MADV_RANDOM alone (vma_has_recency, commit 8788f6781486), in
// the multi-generational LRU and in the older lists: under pressure they go first, however hot.
// Databases that advise random for their file then read it again and again. The lab sees it
// happen beside a twin without advice (TestLiveAdvisedGoFirst).
type Recency struct {
	Schema string           `json:"schema"`
	Window guarantee.Window `json:"window"`
	Kernel string           `json:"kernel"` // release, as uname -r says it
	// Ignored says whether this kernel ignores the bit with MADV_RANDOM, by its version; null
	// where that can't be told.
	Ignored  *bool              `json:"accessed_bit_ignored"`
	Advised  []Advised          `json:"advised"`
	Coverage guarantee.Coverage `json:"coverage"`
}

// Advised is a mapping with such advice.
type Advised struct {
	Process  guarantee.Subject `json:"process"`
	Start    string            `json:"start"`
	End      string            `json:"end"`
	Perms    string            `json:"perms"`
	Name     string            `json:"name"`
	Advice   string            `json:"advice"`               // "random" or "sequential"
	Ignored  *bool             `json:"accessed_bit_ignored"` // by this kernel, with this advice
	Size     uint64            `json:"size"`
	Resident uint64            `json:"resident"`
	Locked   uint64            `json:"locked"` // what is locked is not reclaimed
	Raw      string            `json:"raw"`    // the kernel's VmFlags
}

// FindAdvised looks at the given processes, or at all where there are none. progress is told
// how many have been read; nil for nobody.
func FindAdvised(ctx context.Context, proc process.FS, pids []int, progress func(done, total int)) (*Recency, error) {
	from := time.Now()
	r := &Recency{Schema: RecencySchema, Advised: []Advised{}, Kernel: "unknown"}
	r.Coverage = guarantee.Coverage{Gone: []guarantee.Missed{}, Denied: []guarantee.Missed{}, Failed: []guarantee.Missed{}}
	if u, err := sys.Uname(); err == nil {
		r.Kernel, r.Ignored = guarantee.Text(u.Release), sinceVersion(u.Release, 6, 3)
	}
	if len(pids) == 0 {
		all, err := proc.PIDs()
		if err != nil {
			return nil, err
		}
		pids = all
	}
	var reader vma.Reader
	for i, pid := range pids {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		r.process(&reader, proc, pid)
		if progress != nil {
			progress(i+1, len(pids))
		}
	}
	slices.SortStableFunc(r.Advised, func(a, b Advised) int { return cmp.Compare(b.Resident, a.Resident) })
	r.Window = guarantee.Since(from)
	return r, nil
}

// process reads one process, or notes why not. What was found before a reading failed is
// left out with it.
func (r *Recency) process(reader *vma.Reader, proc process.FS, pid int) {
	missed := guarantee.Missed{PID: pid}
	found := len(r.Advised)
	vmas, err := r.read(reader, proc, pid, &missed)
	if err == nil || errors.Is(err, errKernelThread) {
		r.Coverage.VMAs += vmas
		if err == nil {
			r.Coverage.Processes++
		} else {
			r.Coverage.KernelThreads++
		}
		return
	}
	r.Advised = r.Advised[:found]
	missed.Reason = guarantee.Text(err.Error())
	switch {
	case errors.Is(err, process.ErrGone), errors.Is(err, vma.ErrNoAddressSpace):
		r.Coverage.Gone = append(r.Coverage.Gone, missed)
	case errors.Is(err, process.ErrDenied):
		r.Coverage.Denied = append(r.Coverage.Denied, missed)
	default:
		r.Coverage.Failed = append(r.Coverage.Failed, missed)
	}
}

var errKernelThread = errors.New("a kernel thread")

func (r *Recency) read(reader *vma.Reader, proc process.FS, pid int, missed *guarantee.Missed) (vmas int, err error) {
	p, err := proc.Open(pid)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return 0, err
	}
	missed.Name = guarantee.Text(info.Comm)
	if info.KernelThread {
		return 0, errKernelThread
	}
	who := guarantee.Subject{Kind: guarantee.KindProcess, PID: info.PID, StartTime: info.StartTime, Name: missed.Name, UID: &info.EUID,
		Exe: guarantee.Text(info.Exe), Cgroup: guarantee.Text(info.Cgroup)}
	return vmas, reader.Smaps(p, func(v *vma.VMA) error {
		vmas++
		if advice := adviceOf(v.Flags); advice != "" {
			r.Advised = append(r.Advised, Advised{Process: who, Start: hexadecimal(v.Start), End: hexadecimal(v.End), Perms: v.Perm.String(),
				Name: guarantee.Text(v.Name), Advice: advice, Ignored: r.ignored(advice), Size: v.Size(), Resident: v.Mem.Resident(), Locked: v.Mem.Locked, Raw: "VmFlags: " + v.Flags.String()})
		}
		return nil
	})
}

func adviceOf(f vma.Flags) string {
	switch {
	case f.Has(vma.FlagRandomRead):
		return "random"
	case f.Has(vma.FlagSequentialRead):
		return "sequential"
	}
	return ""
}

// ignored says whether the bit is ignored with an advice: with that of sequential access it was
// so long before 6.1, the oldest kernel on which that was measured.
func (r *Recency) ignored(advice string) *bool {
	if advice == "sequential" {
		yes := true
		return &yes
	}
	return r.Ignored
}

func hexadecimal(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

// sinceVersion compares a release such as "6.18.44-x"; nil where it does not begin so.
func sinceVersion(release string, major, minor int) *bool {
	first, rest, ok := strings.Cut(release, ".")
	second := rest
	if end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' }); end >= 0 {
		second = rest[:end]
	}
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(second)
	if !ok || err1 != nil || err2 != nil {
		return nil
	}
	since := a > major || a == major && b >= minor
	return &since
}
