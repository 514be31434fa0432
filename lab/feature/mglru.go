package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var mglru = Feature{
	Name:       "mglru",
	Title:      "the multi-generational LRU is on, and ages on demand",
	Source:     "Documentation/admin-guide/mm/multigen_lru.rst",
	Risk:       "it ages the pages of the root memory cgroup",
	Privileged: true,
	Since:      "6.12", // 6.1 has it switched off
	probe:      probeMGLRU,
}

const debugfsDir = "/sys/kernel/debug"

// probeMGLRU has the kernel make a new youngest generation of the root cgroup on the
// first node. The control asks for one beside a youngest generation that is not there,
// which makes none.
func probeMGLRU() Result {
	if err := onSysfs("/sys/kernel/mm"); err != nil {
		return noControl("/sys/kernel/mm", err)
	}
	enabled, err := readLine("/sys/kernel/mm/lru_gen/enabled")
	if errors.Is(err, fs.ErrNotExist) {
		return missing("/sys/kernel/mm/lru_gen/enabled", err, "/sys/kernel/mm is on sysfs")
	}
	if err != nil {
		return unknown("enabled", err)
	}
	if bits, err := strconv.ParseUint(enabled, 0, 64); err != nil || bits&1 == 0 {
		return absent("built, and switched off: enabled "+enabled, "")
	}
	if err := onFileSystem(debugfsDir, sys.MagicDebugfs); err != nil {
		return unknown("debugfs at "+debugfsDir, err)
	}
	r := age()
	r.Observed = "enabled " + enabled + "; " + r.Observed
	return r
}

func age() Result {
	before, err := readYoungest()
	if err != nil {
		return unknown("lru_gen", err)
	}
	wrong := before
	wrong.generation += 2
	if err := wrong.age(); !errors.Is(err, syscall.EINVAL) {
		return noControl(fmt.Sprintf("aging from generation %d, want EINVAL", wrong.generation), err)
	}
	if still, err := readYoungest(); err != nil || still != before {
		return noControl(fmt.Sprintf("youngest generation %d, then %d with no aging", before.generation, still.generation), err)
	}
	call := fmt.Sprintf("aging from generation %d", before.generation)
	if err := before.age(); err != nil {
		return unknown(call, err)
	}
	after, err := readYoungest()
	if err != nil {
		return unknown("lru_gen", err)
	}
	observed := fmt.Sprintf("%s: the youngest is %d", call, after.generation)
	control := fmt.Sprintf("aging from generation %d: EINVAL, the youngest stays %d", wrong.generation, before.generation)
	if after.generation != before.generation+1 {
		return absent(observed, control)
	}
	return present(observed, control)
}

// youngest is the youngest generation of the root cgroup on its first node.
type youngest struct{ cgroup, node, generation uint64 }

const lruGen = debugfsDir + "/lru_gen"

func (y youngest) age() error {
	return os.WriteFile(lruGen, fmt.Appendf(nil, "+ %d %d %d", y.cgroup, y.node, y.generation), 0)
}

func readYoungest() (youngest, error) {
	text, err := os.ReadFile(lruGen)
	if err != nil {
		return youngest{}, err
	}
	return parseLRUGen(string(text))
}

// parseLRUGen parses "memcg ID PATH", below it "node ID", below that a line for each
// generation, the oldest first. The root's path is / (with a memory controller), or
// nothing (without).
func parseLRUGen(text string) (y youngest, err error) {
	nodes, found := 0, false
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "memcg":
			if found {
				return y, nil
			}
			nodes = 0
			if len(fields) < 2 {
				return y, fmt.Errorf("%q is not a line of lru_gen", line)
			}
			if y.cgroup, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
				return y, err
			}
			if len(fields) > 2 && fields[2] != "/" {
				nodes = 2 // not the root
			}
		case fields[0] == "node" && len(fields) == 2:
			if nodes++; nodes == 1 {
				if y.node, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
					return y, err
				}
			}
		case nodes == 1:
			if y.generation, err = strconv.ParseUint(fields[0], 10, 64); err != nil {
				return y, err
			}
			found = true
		}
	}
	if !found {
		return y, errors.New("lru_gen has no generation of the root cgroup")
	}
	return y, nil
}
