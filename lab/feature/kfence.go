package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

var kfence = Feature{
	Name:       "kfence",
	Title:      "KFENCE watches sampled allocations of the kernel",
	Source:     "Documentation/dev-tools/kfence.rst",
	Risk:       "it switches KFENCE off for a moment",
	Privileged: true,
	Since:      "6.12", // 6.1 is built without
	probe:      probeKFENCE,
}

const kfenceInterval = "/sys/module/kfence/parameters/sample_interval"

// probeKFENCE sees the counter of watched allocations grow while the kernel allocates.
// The control switches KFENCE off: the counter stands still.
func probeKFENCE() Result {
	if err := onSysfs("/sys/module"); err != nil {
		return noControl("/sys/module", err)
	}
	interval, err := readLine(kfenceInterval)
	if errors.Is(err, fs.ErrNotExist) {
		return missing(kfenceInterval, err, "/sys/module is on sysfs")
	}
	if err != nil {
		return unknown("sample_interval", err)
	}
	milliseconds, err := strconv.ParseUint(interval, 10, 32)
	if err != nil {
		return unknown("sample_interval", err)
	}
	if milliseconds == 0 {
		return absent("built, and switched off: sample_interval 0", "")
	}
	if err := onFileSystem(debugfsDir, sys.MagicDebugfs); err != nil {
		return unknown("debugfs at "+debugfsDir, err)
	}
	r := watchKFENCE(interval, time.Duration(milliseconds)*time.Millisecond)
	r.Observed = "sample_interval " + interval + "; " + r.Observed
	return r
}

func watchKFENCE(interval string, each time.Duration) Result {
	if err := os.WriteFile(kfenceInterval, []byte("0"), 0); err != nil {
		return noControl("switching KFENCE off", err)
	}
	first, err := kfenceAllocations()
	allocate(4 * each)
	second, err2 := kfenceAllocations()
	if err := os.WriteFile(kfenceInterval, []byte(interval), 0); err != nil {
		return unknown("switching KFENCE on again", err)
	}
	if err := errors.Join(err, err2); err != nil {
		return unknown("kfence/stats", err)
	}
	if second != first {
		return noControl(fmt.Sprintf("switched off, it counted from %d to %d", first, second), nil)
	}
	control := fmt.Sprintf("switched off, it stays at %d", first)
	// The pool may be full for a while: then allocations are skipped.
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		allocate(2 * each)
		now, err := kfenceAllocations()
		if err != nil {
			return unknown("kfence/stats", err)
		}
		if now > second {
			return present(fmt.Sprintf("total allocations %d, then %d", second, now), control)
		}
	}
	return absent(fmt.Sprintf("total allocations stay at %d", second), control)
}

// allocate has the kernel allocate and free for a while: a pipe is several objects.
func allocate(duration time.Duration) {
	for end := time.Now().Add(duration); time.Now().Before(end); {
		if r, w, err := os.Pipe(); err == nil {
			r.Close()
			w.Close()
		}
	}
}

func kfenceAllocations() (uint64, error) {
	text, err := os.ReadFile(debugfsDir + "/kfence/stats")
	if err != nil {
		return 0, err
	}
	return parseKFENCE(string(text))
}

func parseKFENCE(text string) (uint64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "total allocations:"); ok {
			return strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		}
	}
	return 0, errors.New("kfence/stats has no total allocations")
}
