package damon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// recordSchema names the form of the record.
const recordSchema = "safevma.damon-record/v1"

// record says what was started here. The kernel knows no owners; so it is compared with
// what the kernel shows, and binds nobody else.
type record struct {
	Schema string `json:"schema"`
	Boot   string `json:"boot_id"`
	// Adopted: somebody else made the directories.
	Adopted  bool       `json:"adopted"`
	Kdamonds []recorded `json:"kdamonds"`
}

// recorded is a kdamond as it was left.
type recorded struct {
	PID    int    `json:"pid"`    // -1 where it was off
	Digest string `json:"digest"` // of its configuration
}

// ledger keeps the record and the lock in a directory that does not outlive the boot.
type ledger struct{ dir, boot string }

func (f FS) ledger() (ledger, error) {
	const file = "/proc/sys/kernel/random/boot_id"
	boot, err := os.ReadFile(file)
	if err != nil {
		return ledger{}, failed(file, err)
	}
	return ledger{f.run, strings.TrimSpace(string(boot))}, nil
}

// ours reports whether the record names what there is.
func (f FS) ours(now []Kdamond) (bool, error) {
	if f.run == "" || len(now) == 0 {
		return false, nil
	}
	l, err := f.ledger()
	if err != nil {
		return false, err
	}
	r, err := l.read()
	return err == nil && r.names(now) == "", err
}

func (l ledger) file() string { return filepath.Join(l.dir, "damon.json") }

// lock waits for the lock, so that two that change the interface come one after the other.
func (l ledger) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, err
	}
	if err := l.own(); err != nil {
		return nil, err
	}
	return sys.LockFile(ctx, l.lockFile())
}

// own makes sure that nobody else can put a record or a lock into the directory: a record says
// what may be written without being adopted, and links are followed.
func (l ledger) own() error {
	info, err := os.Lstat(l.dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(stat.Uid) != os.Geteuid() || info.Mode().Perm()&0o002 != 0 {
		return errors.New("it is not this user's alone, and has the record of what was set up: remove it")
	}
	return nil
}

func (l ledger) lockFile() string { return filepath.Join(l.dir, "damon.lock") }

// everLocked reports whether anybody has changed anything since the machine started.
func (l ledger) everLocked() bool {
	_, err := os.Stat(l.lockFile())
	return err == nil
}

// read returns the record of this boot, or nil where there is none.
func (l ledger) read() (*record, error) {
	text, err := os.ReadFile(l.file())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Schema != recordSchema {
		return nil, &Error{l.file(), fmt.Errorf("%w: want %s: remove it", ErrMalformed, recordSchema)}
	}
	if r.Boot != l.boot {
		return nil, nil
	}
	return &r, nil
}

// write replaces the record; none of kdamonds is none.
func (l ledger) write(kdamonds []Kdamond, adopted bool) error {
	if len(kdamonds) == 0 {
		if err := os.Remove(l.file()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(record{recordSchema, l.boot, adopted, recordOf(kdamonds)})
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(l.dir, "damon-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(append(text, '\n'))
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), l.file())
}

func recordOf(kdamonds []Kdamond) []recorded {
	var list []recorded
	for n := range kdamonds {
		list = append(list, recorded{kdamonds[n].PID, digest(&kdamonds[n])})
	}
	return list
}

// digest is of all that can be written to a kdamond, but its state and tuned intervals.
func digest(k *Kdamond) string {
	alone := []Kdamond{*k}
	writes, err := Diff(nil, alone)
	if err != nil {
		return "" // of nothing: no digest is that
	}
	var b strings.Builder
	for _, w := range writes {
		if !w.command() && !tuned(alone, w.File) {
			fmt.Fprintf(&b, "%s=%q\n", w.File, w.To)
		}
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

// names says why what is there is not what the record names, or "" where it is. A kdamond
// that was recorded may have ended by itself; one that runs must be the same thread.
func (r *record) names(kdamonds []Kdamond) string {
	if r == nil {
		return "no record of this boot says that safevma started it"
	}
	now := recordOf(kdamonds)
	if len(now) != len(r.Kdamonds) {
		return fmt.Sprintf("safevma left %d kdamonds", len(r.Kdamonds))
	}
	for n, was := range r.Kdamonds {
		if kdamonds[n].State == On && now[n].PID != was.PID {
			return fmt.Sprintf("safevma left kdamond %d with pid %d, and now it runs with %d", n, was.PID, now[n].PID)
		}
		if now[n].Digest != was.Digest {
			return fmt.Sprintf("kdamond %d is not set up as safevma left it", n)
		}
	}
	return ""
}

// pids are those of the kdamonds that run.
func pids(kdamonds []Kdamond) []int {
	var list []int
	for _, k := range kdamonds {
		if k.State == On {
			list = append(list, k.PID)
		}
	}
	return slices.Clip(list)
}
