package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// A saved state is a folder with the memory of a machine that has booted and waits, the
// state of its devices, and the key that says what it was made from. A machine that goes
// on from it maps the memory privately, so the state stays as it is.
//
// It is taken before the guest has seen any disk or NVDIMM, so those may differ each time.
const (
	keyFile    = "key"
	deviceFile = "devices"
)

// maxStates is how many saved states are kept; each is a few hundred megabytes.
const maxStates = 10

// key says all that a state depends on.
func (p *plan) key() string {
	return strings.Join([]string{"state 3", p.version, p.kernel.Identity(), p.initHash,
		strings.Join(p.commandLine("kernel", "initrd", make([]string, p.NUMANodes), true), " ")}, "\n")
}

func (p *plan) stateDir() string {
	sum := sha256.Sum256([]byte(p.name(p.kernel.Release)))
	return filepath.Join(p.lab.Dir, "states", p.kernel.Release+"-"+hex.EncodeToString(sum[:6]))
}

// errState says that a state itself is broken, not something else that a machine needs.
var errState = errors.New("going on from a saved state")

// resume starts a machine from its saved state, which is made where it is missing or was
// made from other things.
func (p *plan) resume(ctx context.Context) (*Machine, error) {
	dir := p.stateDir()
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	unlock, err := sys.LockFile(ctx, dir+".lock")
	if err != nil {
		return nil, err
	}
	defer unlock() // QEMU has its files open by then
	if p.usable(dir) {
		m, err := p.load(ctx, dir)
		if !errors.Is(err, errState) || ctx.Err() != nil {
			return m, err
		}
		p.lab.say("a saved state can't be used, and is made anew: %v", err)
	}
	if err := p.save(ctx, dir); err != nil {
		return nil, fmt.Errorf("making a saved state: %w", err)
	}
	return p.load(ctx, dir)
}

// usable reports whether a state was made from the same things, and is there whole, as far
// as sizes tell.
func (p *plan) usable(dir string) bool {
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil || string(key) != p.key() {
		return false
	}
	for _, file := range p.ramFiles(dir) {
		if info, err := os.Stat(file); err != nil || info.Size() != int64(p.MemoryMiB/p.NUMANodes)<<20 {
			return false
		}
	}
	return true
}

// forget makes the next machine make its state anew.
func (p *plan) forget() { _ = os.Remove(filepath.Join(p.stateDir(), keyFile)) }

func (p *plan) ramFiles(dir string) []string {
	files := make([]string, p.NUMANodes)
	for i := range files {
		files[i] = filepath.Join(dir, fmt.Sprintf("memory%d", i))
	}
	return files
}

// save boots a machine and keeps it as it waits.
func (p *plan) save(ctx context.Context, dir string) error {
	p.lab.say("booting kernel %s once, to save its state", p.kernel.Release)
	if err := errors.Join(p.prune(), os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	m, err := p.boot(ctx, p.ramFiles(dir))
	if err != nil {
		return err
	}
	defer m.Cut()
	stop := context.AfterFunc(ctx, m.Cut)
	defer stop()
	qmp, err := openMonitor(m.process.monitor, Patience)
	if err != nil {
		return m.explain(err)
	}
	if err := qmp.do("stop", nil, nil); err != nil {
		return m.explain(err)
	}
	if err := qmp.migrate("migrate", "exec:cat > "+quote(filepath.Join(dir, deviceFile)), Patience); err != nil {
		return m.explain(err)
	}
	return writeWhole(filepath.Join(dir, keyFile), []byte(p.key()))
}

// load starts a machine that goes on from a state.
func (p *plan) load(ctx context.Context, dir string) (*Machine, error) {
	m, err := p.launch(ctx, p.ramFiles(dir), false, "-incoming", "defer")
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, m.Cut)
	defer stop()
	qmp, err := openMonitor(m.process.monitor, Patience)
	if err == nil {
		err = qmp.migrate("migrate-incoming", "exec:cat "+quote(filepath.Join(dir, deviceFile)), Patience)
	}
	if err == nil {
		err = qmp.do("cont", nil, nil)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", errState, m.explain(err))
		m.Cut()
		return nil, err
	}
	m.Resumed = true
	now := time.Now()
	_ = os.Chtimes(filepath.Join(dir, keyFile), now, now) // for prune alone
	return m, nil
}

// quote quotes a path for the shell that QEMU runs.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// prune removes the states that were not used for longest, and what is left of those that
// were not finished. One that somebody uses stays: waiting for its lock, with that of another
// state in hand, two could wait for each other.
func (p *plan) prune() error {
	entries, err := os.ReadDir(filepath.Join(p.lab.Dir, "states"))
	if err != nil {
		return err
	}
	used := map[string]time.Time{}
	for _, e := range entries {
		dir := filepath.Join(p.lab.Dir, "states", e.Name())
		if !e.IsDir() {
			continue
		}
		used[dir] = time.Time{} // not finished
		if info, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
			used[dir] = info.ModTime()
		}
	}
	delete(used, p.stateDir())
	dirs := make([]string, 0, len(used))
	for dir := range used {
		dirs = append(dirs, dir)
	}
	slices.SortFunc(dirs, func(a, b string) int { return used[b].Compare(used[a]) })
	for i, dir := range dirs {
		if i < maxStates-1 && !used[dir].IsZero() {
			continue
		}
		unlock, err := sys.TryLockFile(dir + ".lock")
		if errors.Is(err, sys.ErrLocked) {
			continue
		}
		if err != nil {
			return err
		}
		err = os.RemoveAll(dir)
		unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
