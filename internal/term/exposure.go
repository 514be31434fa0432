package term

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/safevma/safevma/exposure"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
)

var shadeStyles = map[exposure.Shade]lipgloss.Style{
	exposure.ShadeExposed: bad, exposure.ShadeOwn: quiet, exposure.ShadeSlab: secret, exposure.ShadePageTable: secret, exposure.ShadeMapped: warn,
	exposure.ShadeCache: good, exposure.ShadeKernel: warn, exposure.ShadeReserved: faint, exposure.ShadeFree: faint, exposure.ShadeHole: faint,
}

// rowsShown is how many VMAs are shown without being asked for all.
const rowsShown = 20

// Exposure shows what lies beside the pages of a process: the number, a strip of all
// physical memory, and the VMAs, those with most exposed pages first.
func (w *Writer) Exposure(e *exposure.Exposure, all bool) {
	v := e.Verdict()
	w.line("%s (pid %d) %s", bold.Render(e.Process.Name), e.Process.PID, faint.Render(e.Process.Exe))
	w.text(0, "%s: %s", bold.Render(v.Requirement), v.Message)
	n := e.Total
	if left := n.Pages - n.Secret; left > 0 {
		w.text(0, "%.1f %% exposed; %d pages beside other memory of the kernel, %d shared with other processes, %d in swap, %d moved meanwhile",
			100*float64(n.Exposed)/float64(left), n.Kernel, n.Shared, e.Swapped, e.Moved)
	}
	w.text(0, "On the whole host, %d of %d mapped pages have a slab as a neighbour, and %d a page table.", e.Memory.BesideSlab,
		e.Memory.Counts[vma.FrameIsMapped], e.Memory.BesidePageTable)
	w.text(0, "%s", faint.Render(fmt.Sprintf("control %s: %s", e.Control.Status, e.Control.Detail)))
	w.line("")
	w.memory(&e.Memory)
	w.line("")
	w.line("%s", bold.Render(fmt.Sprintf("%-25s %-4s %7s %7s %5s %5s %7s  %s", "ADDRESSES", "PERM", "PAGES", "EXPOSED", "SLAB", "TABLE", "FOREIGN", "WHAT")))
	rows := slices.Clone(e.Rows)
	if !all {
		slices.SortStableFunc(rows, func(a, b exposure.Row) int { return cmp.Compare(b.Neighbours.Exposed, a.Neighbours.Exposed) })
		rows = rows[:min(len(rows), rowsShown)]
	}
	for i := range rows {
		w.exposed(&rows[i])
	}
	if left := len(e.Rows) - len(rows); left > 0 {
		w.line("%s", faint.Render(fmt.Sprintf("%d more VMAs with pages in memory: --all", left)))
	}
}

func (w *Writer) exposed(r *exposure.Row) {
	n := r.Neighbours
	style := faint
	if n.Exposed > 0 {
		style = warn
	}
	what := guarantee.Text(r.Name)
	if what == "" {
		what = "anonymous"
	}
	if r.Secret {
		what = good.Render("secret: not in the linear map")
	}
	w.text(0, "%-25s %s %7d %s %5d %5d %7d  %s", fmt.Sprintf("%x-%x", r.Start, r.End), r.Perm, n.Pages, style.Render(fmt.Sprintf("%7d", n.Exposed)),
		n.Slab, n.PageTable, n.Foreign, what)
}

// memoryRows is how high the picture of memory is.
const memoryRows = 12

// memory draws all physical memory, each sign a part of it: pages of the process win over
// all else, then what there is most of.
func (w *Writer) memory(m *exposure.Memory) {
	columns := w.columns
	if columns == 0 {
		columns = widthUnknown
	}
	cells := m.Squeeze(columns * memoryRows)
	if len(cells) == 0 {
		return
	}
	each := (uint64(len(m.Cells)) + uint64(len(cells)) - 1) / uint64(len(cells)) * m.PerCell * vma.PageSize
	seen := map[exposure.Shade]bool{}
	for row := range slices.Chunk(cells, columns) {
		w.line("%s", strings.TrimRight(shaded(row, seen), " "))
	}
	var legend []string
	for _, s := range exposure.Shades() {
		if seen[s] && s != exposure.ShadeHole {
			legend = append(legend, shadeStyles[s].Render(s.Letter())+" "+s.String())
		}
	}
	w.text(0, "%s", strings.Join(append(legend, faint.Render(fmt.Sprintf("all memory from address 0 on; a sign is %s", Size(each)))), "  "))
}

// shaded renders runs of one shade at once.
func shaded(row []exposure.Cell, seen map[exposure.Shade]bool) string {
	var b strings.Builder
	for i := 0; i < len(row); {
		shade, n := row[i].Shade(), 1
		for i+n < len(row) && row[i+n].Shade() == shade {
			n++
		}
		seen[shade] = true
		if shade == exposure.ShadeHole {
			b.WriteString(strings.Repeat(" ", n))
		} else {
			b.WriteString(shadeStyles[shade].Render(strings.Repeat(shade.Letter(), n)))
		}
		i += n
	}
	return b.String()
}
