package access

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/watch/recording"
)

// footprints writes how much memory the host and the processes that are watched use.
func (r *recorder) footprints() error {
	now, err := sys.Monotonic()
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(r.proc.Path("meminfo")); err == nil {
		if f, ok := hostFootprint(string(text)); ok {
			f.Time = int64(now)
			if err := r.file.Write(&f); err != nil {
				return err
			}
		}
	}
	for _, c := range r.setup.Contexts {
		for _, pid := range c.PIDs {
			text, err := os.ReadFile(r.proc.Path(strconv.Itoa(pid), "statm"))
			if err != nil {
				continue // it has ended
			}
			if f, ok := processFootprint(string(text)); ok {
				f.Time, f.PID = int64(now), pid
				if err := r.file.Write(&f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// hostFootprint parses /proc/meminfo (proc_meminfo(5)): Resident is what is not free.
func hostFootprint(text string) (recording.Footprint, bool) {
	value := map[string]uint64{}
	for line := range strings.Lines(text) {
		var kib uint64
		key, rest, _ := strings.Cut(line, ":")
		if n, _ := fmt.Sscan(rest, &kib); n == 1 {
			value[key] = kib << 10
		}
	}
	total, free := value["MemTotal"], value["MemFree"]
	return recording.Footprint{Size: total, Resident: total - free, Shared: value["Cached"]}, total > 0 && free <= total
}

// processFootprint parses /proc/PID/statm (proc_pid_statm(5)): pages of the address space,
// in memory, and of files and shared.
func processFootprint(text string) (f recording.Footprint, ok bool) {
	n, _ := fmt.Sscan(text, &f.Size, &f.Resident, &f.Shared)
	page := uint64(os.Getpagesize())
	f.Size, f.Resident, f.Shared = f.Size*page, f.Resident*page, f.Shared*page
	return f, n == 3
}
