package term

import (
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/safevma/safevma/audit"
	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/vma"
	"github.com/safevma/safevma/rules"
)

// class says in which colour a VMA is drawn: by what it allows.
type class struct {
	letter string
	words  string
	style  lipgloss.Style
}

var classes = []class{
	{"!", "writable and executable", bad},
	{"x", "code", good},
	{"w", "writable", warn},
	{"r", "read-only", quiet},
	{"S", "secret", secret},
	{"·", "no access", faint},
}

func classOf(r *audit.Row) class {
	p := r.VMA.Perm
	switch {
	case r.Kind == rules.KindSecretmem:
		return classes[4]
	case p.Has(vma.PermWrite | vma.PermExec):
		return classes[0]
	case p.Has(vma.PermExec):
		return classes[1]
	case p.Has(vma.PermWrite):
		return classes[2]
	case p.Has(vma.PermRead):
		return classes[3]
	}
	return classes[5]
}

// Space shows an address space: a strip of all of it, then a line for each VMA.
func (w *Writer) Space(s *audit.Space) {
	var size, rss, locked, swap uint64
	for i := range s.Rows {
		v := &s.Rows[i].VMA
		size, rss, locked, swap = size+v.Size(), rss+v.Mem.Rss, locked+v.Mem.Locked, swap+v.Mem.Swap
	}
	w.line("%s (pid %d) %s", bold.Render(s.Process.Name), s.Process.PID, faint.Render(s.Process.Exe))
	w.line("%d VMAs, %s mapped, %s resident, %s locked, %s in swap", len(s.Rows), Size(size), Size(rss), Size(locked), Size(swap))
	w.line("")
	columns := w.columns
	if columns == 0 {
		columns = widthUnknown
	}
	w.strip(s.Rows, columns)
	w.line("")
	w.line("%s", bold.Render(fmt.Sprintf("%-33s %-4s %10s %10s %-9s %s", "ADDRESSES", "PERM", "SIZE", "RESIDENT", "", "WHAT")))
	for i := range s.Rows {
		w.row(&s.Rows[i])
	}
}

// row shows one VMA: where, what is allowed, how much of it is there, what it is, and
// what is special about it in words.
func (w *Writer) row(r *audit.Row) {
	v := &r.VMA
	c := classOf(r)
	what := guarantee.Text(v.Name)
	if what == "" {
		what = r.Kind.String()
	}
	if words := special(v); words != "" {
		what += "  " + faint.Render(words)
	}
	w.line("%s %s %10s %10s %s %s", fmt.Sprintf("%-33s", fmt.Sprintf("%x-%x", v.Start, v.End)), c.style.Render(v.Perm.String()),
		Size(v.Size()), Size(v.Mem.Resident()), gauge(v), what)
}

// gauge shows in a bar how much of a VMA is resident.
func gauge(v *vma.VMA) string {
	const cells = 8
	full := int((v.Mem.Resident()*cells + v.Size() - 1) / v.Size())
	full = min(full, cells)
	return good.Render(strings.Repeat("▮", full)) + faint.Render(strings.Repeat("▯", cells-full)) + " "
}

// usual are the flags that say nothing special: permissions, what may become of them,
// and accounting.
const usual = vma.FlagRead | vma.FlagWrite | vma.FlagExec | vma.FlagShared | vma.FlagMayRead | vma.FlagMayWrite |
	vma.FlagMayExec | vma.FlagMayShare | vma.FlagAccount | vma.FlagSoftDirty

func special(v *vma.VMA) string {
	words := (v.Flags &^ usual).InWords()
	if v.Mem.Swap > 0 {
		words = append(words, Size(v.Mem.Swap)+" in swap")
	}
	if v.Mem.ProtectionKey != 0 {
		words = append(words, fmt.Sprintf("protection key %d", v.Mem.ProtectionKey))
	}
	return strings.Join(words, ", ")
}

// strip draws the address space as a line of blocks. VMAs get columns by the order of
// magnitude of their size: sizes differ by nine orders of magnitude, and gaps by more. A
// bar between two says that there is a gap.
func (w *Writer) strip(rows []audit.Row, columns int) {
	type block struct {
		class class
		cells int
		gap   bool
	}
	var blocks []block
	total := 0
	for i := range rows {
		v := &rows[i].VMA
		c := classOf(&rows[i])
		cells := 1
		for size := v.Size(); size >= 1<<20; size >>= 4 { // 1 MiB, 16 MiB, 256 MiB, …
			cells++
		}
		gap := i > 0 && v.Start > rows[i-1].VMA.End+(1<<30)
		if last := len(blocks) - 1; last >= 0 && !gap && blocks[last].class.letter == c.letter && total > 3*columns {
			continue // many small neighbours of one kind: drawn as one
		}
		blocks = append(blocks, block{c, cells, gap})
		total += cells
	}
	var b strings.Builder
	used := 0
	put := func(style lipgloss.Style, text string, cells int) {
		if used+cells > columns {
			b.WriteByte('\n')
			used = 0
		}
		b.WriteString(style.Render(text))
		used += cells
	}
	for _, block := range blocks {
		if block.gap {
			put(faint, "│", 1)
		}
		put(block.class.style, strings.Repeat(block.class.letter, block.cells), block.cells)
	}
	for line := range strings.Lines(b.String()) {
		w.line("%s", strings.TrimSuffix(line, "\n"))
	}
	var legend []string
	for _, c := range classes {
		if slices.ContainsFunc(rows, func(r audit.Row) bool { return classOf(&r).letter == c.letter }) {
			legend = append(legend, c.style.Render(c.letter)+" "+c.words)
		}
	}
	w.line("%s", strings.Join(append(legend, faint.Render("│ a gap of 1 GiB or more; a block is longer the larger the VMA")), "  "))
}
