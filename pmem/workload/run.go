package workload

import (
	"context"
	"errors"
	"math/big"
	"slices"

	"github.com/safevma/safevma/pmem/crash"
)

// Summary is what was explored of all workloads. Counts of images are those of distinct ones.
type Summary struct {
	Schema    string          `json:"schema"` // safevma.crashtest/v1
	Workloads []*crash.Report `json:"workloads"`
	Failures  int             `json:"failures"`
	// Images are distinct within a workload and a model; those that were recovered and checked,
	// and all that are legal.
	ImagesChecked *big.Int `json:"images_checked"`
	Images        *big.Int `json:"images"`
	// Verdict is "holds", "holds in the sample", "broken" or "unknown": the worst of all.
	Verdict string `json:"verdict"`
}

// SchemaSummary names the JSON form of a [Summary].
const SchemaSummary = "safevma.crashtest/v1"

// worst orders verdicts.
var worst = []string{"holds", "holds in the sample", "unknown", "broken"}

// Run explores workloads, one after the other. Deep explores crashes in recovery too. A state that
// does not recover is a failure of the summary, not an error.
func Run(ctx context.Context, all []Workload, deep bool, progress func(name string, p crash.Progress)) (*Summary, error) {
	s := &Summary{Schema: SchemaSummary, Verdict: worst[0], Images: new(big.Int), ImagesChecked: new(big.Int)}
	for _, w := range all {
		c := w.Config
		c.Name, c.Shallow, c.Restart = w.Name, !deep, true
		c.Progress = func(p crash.Progress) { progress(w.Name, p) }
		r, err := crash.Explore(ctx, c, w.Crash)
		if err := ctx.Err(); err != nil {
			return s, err
		}
		if r == nil {
			return s, err
		}
		s.add(r, err)
	}
	return s, nil
}

func (s *Summary) add(r *crash.Report, err error) {
	s.Workloads = append(s.Workloads, r)
	var f *crash.Failure
	if errors.As(err, &f) {
		s.Failures++
	}
	for _, m := range r.Models {
		addText(s.Images, m.Images)
		addText(s.ImagesChecked, m.ImagesChecked)
	}
	if slices.Index(worst, r.Verdict) > slices.Index(worst, s.Verdict) {
		s.Verdict = r.Verdict
	}
}

func addText(sum *big.Int, text string) {
	if n, ok := new(big.Int).SetString(text, 10); ok {
		sum.Add(sum, n)
	}
}

// Names returns those of all workloads.
func Names() (names []string) {
	for _, w := range All() {
		names = append(names, w.Name)
	}
	return names
}
