package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/safevma/safevma/audit/manifest"
	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// Baseline makes a manifest of a process from several looks at it, a pause apart.
// looks is at least 1. What has no file gets room to grow: slack times what was seen.
func Baseline(ctx context.Context, proc process.FS, pid, looks int, pause time.Duration, slack float64) (*manifest.Manifest, error) {
	p, err := proc.Open(pid)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	program, err := ProgramOf(p)
	if err != nil {
		return nil, err
	}
	observer := manifest.NewObserver(program)
	var r vma.Reader
	for look := range max(looks, 1) {
		if look > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(pause):
			}
		}
		if err := r.Smaps(p, func(v *vma.VMA) error {
			observer.Add(v)
			return nil
		}); err != nil {
			return nil, err
		}
		observer.EndLook()
	}
	after, err := ProgramOf(p)
	if err != nil {
		return nil, err
	}
	if after != program {
		return nil, fmt.Errorf("%s: %w: it executed another program", p.Path("exe"), process.ErrGone)
	}
	return observer.Manifest(slack), nil
}
