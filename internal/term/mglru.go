package term

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/mglru"
	"github.com/safevma/safevma/watch"
)

// MGLRU shows the multi-generational LRU: what is on, then for each group with memory its
// generations, the youngest first.
func (w *Writer) MGLRU(r *mglru.Report, all bool) {
	state := bad.Render("off: the kernel reclaims by its older lists")
	if r.Settings.Enabled.Has(mglru.Main) {
		state = good.Render("on")
	}
	w.line("multi-generational LRU: %s %s", state, faint.Render(fmt.Sprintf("(enabled %#04x: leaf batches %s, non-leaf %s)", uint64(r.Settings.Enabled),
		onOff(r.Settings.Enabled.Has(mglru.LeafBatch)), onOff(r.Settings.Enabled.Has(mglru.NonLeaf)))))
	protection := "no working set is protected (min_ttl_ms 0)"
	if r.Settings.MinTTL > 0 {
		protection = fmt.Sprintf("what was used within %v stays: the kernel kills a process rather than to reclaim it", r.Settings.MinTTL)
	}
	w.text(0, "%s", protection)
	if r.Unseen != nil {
		w.text(0, "%s", warn.Render("generations unknown: "+guarantee.Text(r.Unseen.Error())))
	}
	for _, m := range r.Memcgs {
		w.memcg(&m, r.PageSize, all)
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func (w *Writer) memcg(m *mglru.Memcg, page uint64, all bool) {
	for _, n := range m.Nodes {
		var pages, most uint64
		for _, g := range n.Generations {
			pages += g.Anon + g.File
			most = max(most, g.Anon+g.File)
		}
		if pages == 0 && !all {
			continue
		}
		w.line("")
		w.lruGroup(m.Path, m.ID, n.ID)
		w.generations(&n, page, most)
	}
}

// lruGroup writes the head of a group on a node.
func (w *Writer) lruGroup(path string, memcg uint64, node int) {
	if path == "" {
		path = "/"
	}
	w.line("%s %s", bold.Render(guarantee.Text(path)), faint.Render(fmt.Sprintf("(memcg %d, node %d)", memcg, node)))
}

// generations draws those of a node, the youngest first; most is how many pages have the
// longest bar.
func (w *Writer) generations(n *mglru.Node, page, most uint64) {
	idle := n.Idle()
	for i, g := range slices.Backward(n.Generations) {
		w.generation(g, idle[len(idle)-1-i], page, most)
	}
}

// MGLRUChange shows what was done to each group, and its generations then.
func (w *Writer) MGLRUChange(c *mglru.Change) {
	for i := range c.Outcomes {
		if i > 0 {
			w.line("")
		}
		w.outcome(&c.Outcomes[i], c)
	}
}

func (w *Writer) outcome(o *mglru.Outcome, c *mglru.Change) {
	w.lruGroup(o.Path, o.Memcg, o.Before.ID)
	switch {
	case o.Command == nil:
		w.text(2, "nothing to do: %s", o.Why)
	case c.DryRun:
		w.line("  would write %s", o.Command)
	case o.Err != nil:
		w.text(2, "%s", bad.Render(fmt.Sprintf("%s: %s", o.Command, guarantee.Text(o.Err.Error()))))
	default:
		w.line("  %s  %s", o.Command, w.difference(o, c.PageSize))
	}
	n := &o.Before
	if o.After != nil {
		n = o.After
	}
	var most uint64
	for _, g := range n.Generations {
		most = max(most, g.Anon+g.File)
	}
	w.generations(n, c.PageSize, most)
}

// difference says by how much the group has less, or more: it may use memory meanwhile.
func (w *Writer) difference(o *mglru.Outcome, page uint64) string {
	before, after := o.Before.Pages(), o.After.Pages()
	if after > before {
		return faint.Render(fmt.Sprintf("%s more than before", Size((after-before)*page)))
	}
	return good.Render(fmt.Sprintf("%s less than before", Size((before-after)*page)))
}

// generation draws one, with a bar that compares it with the largest.
func (w *Writer) generation(g mglru.Generation, idle mglru.Idle, page, most uint64) {
	const cells = 20
	full := 0
	if most > 0 {
		full = int(((g.Anon+g.File)*cells + most - 1) / most)
	}
	w.line("  %8d  idle %9s to %9s %10s anon %10s file  %s%s", g.Seq, short(idle.From), short(idle.To), Size(g.Anon*page), Size(g.File*page),
		good.Render(strings.Repeat("▮", full)), faint.Render(strings.Repeat("▯", cells-full)))
}

// short writes a duration with as many digits as a person wants.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// Recency shows mappings that are reclaimed first because of advice.
func (w *Writer) Recency(r *watch.Recency) {
	w.text(0, "Under pressure pages that are only mapped with MADV_SEQUENTIAL are reclaimed first, however hot: the kernel ignores their accessed bit.")
	switch {
	case r.Ignored == nil:
		w.text(0, "%s", warn.Render("Whether kernel "+r.Kernel+" does so with MADV_RANDOM too is unknown: Linux does since 6.3."))
	case *r.Ignored:
		w.text(0, "Kernel %s does so with MADV_RANDOM too (since Linux 6.3).", r.Kernel)
	default:
		w.text(0, "Kernel %s still looks at that bit with MADV_RANDOM; Linux does not since 6.3.", r.Kernel)
	}
	w.line("")
	if len(r.Advised) == 0 {
		w.line("%s", good.Render("no mapping has advice of random or sequential access"))
	}
	for _, a := range r.Advised {
		name := a.Name
		if name == "" {
			name = "anonymous"
		}
		w.text(0, "%s (pid %d) %s-%s %s %s, %s resident: %s", bold.Render(a.Process.Name), a.Process.PID, a.Start, a.End, a.Perms,
			warn.Render("MADV_"+strings.ToUpper(a.Advice)), Size(a.Resident), name)
	}
	if len(r.Advised) > 0 {
		w.line("")
		w.text(0, "Remedy: MADV_NORMAL, and POSIX_FADV_RANDOM on the descriptor where read-ahead is the trouble; or mlock(2) what must stay.")
	}
	w.Missed(&r.Coverage)
}
