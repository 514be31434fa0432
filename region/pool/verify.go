package pool

import (
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

// Verify looks at the arenas from the kernel's side, as [region.Region.Verify] does: the verdicts of
// all, arena by arena. For bytes that were written where nothing was handed out see [Pool.Check].
func (p *Pool) Verify() ([]guarantee.Verdict, error) {
	p.inspecting.RLock()
	defer p.inspecting.RUnlock()
	if p.closed.Load() {
		return nil, failed("verify", region.ErrClosed)
	}
	var all []guarantee.Verdict
	for _, a := range *p.arenas.Load() {
		verdicts, err := a.region.Verify()
		if err != nil {
			return nil, failed("verify", err)
		}
		all = append(all, verdicts...)
	}
	return all, nil
}
