package term

import (
	"fmt"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
)

// Zones shows the parts of the kernel's address space, and who can read them.
func (w *Writer) Zones(zones []host.ZoneView) {
	for i, z := range zones {
		if i > 0 {
			w.line("")
		}
		size := warn.Render("size unknown")
		if n, err := z.Size.Get(); err == nil {
			size = Size(n)
			if z.Size.Method != guarantee.Read {
				size += faint.Render(" by " + string(z.Size.Method))
			}
		}
		w.text(0, "%s  %s  %s", bold.Render(z.Name), size, z.What)
		for _, seen := range z.Seen {
			w.text(2, "%s", guarantee.Text(seen))
		}
		var views []string
		for _, v := range z.Views {
			views = append(views, v.Path+" "+faint.Render("("+v.By+")"))
		}
		w.text(2, "seen in %s", strings.Join(views, ", "))
		for _, way := range z.Ways {
			w.way(way)
		}
	}
}

func (w *Writer) way(way host.ZoneWay) {
	state := warn.Render(fmt.Sprintf("%-7s", "unknown"))
	note := ""
	if open, err := way.Open.Get(); err != nil {
		note = string(host.ReasonOf(err))
	} else {
		note = "by " + string(way.Open.Method)
		state = good.Render(fmt.Sprintf("%-7s", "closed"))
		if open {
			state = bad.Render(fmt.Sprintf("%-7s", "open"))
		}
	}
	w.text(2, "%s %-13s %s", state, way.Name, faint.Render(note+"; takes "+way.Needs))
}
