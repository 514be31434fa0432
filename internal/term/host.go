package term

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/host"
)

// Host shows all facts of a host, then the kernel's own defences.
func (w *Writer) Host(f *host.Facts) {
	section := ""
	for fact := range f.All() {
		area, name, _ := strings.Cut(fact.Name, ".")
		if area != section {
			section = area
			w.line("%s", bold.Render(area))
		}
		if name == "" {
			name = area
		}
		if fact.Err != nil {
			why, _, _ := strings.Cut(fact.Err.Error(), "\n") // the first of several places
			w.line("  %-30s %s", name, warn.Render("unknown: "+guarantee.Text(why)))
			continue
		}
		text := value(fact.Value)
		if fact.Method != guarantee.Read {
			text += faint.Render("  by " + string(fact.Method))
		}
		w.line("  %-30s %s", name, text)
	}
	w.line("%s", bold.Render(fmt.Sprintf("%-30s %-8s %-12s %s", "kernel's own defences", "", "accidental", "attack")))
	for _, h := range f.Hardening {
		state := good.Render(fmt.Sprintf("%-8s", "on"))
		if on, err := h.On.Get(); err != nil {
			state = warn.Render(fmt.Sprintf("%-8s", "unknown"))
		} else if !on {
			state = bad.Render(fmt.Sprintf("%-8s", "off"))
		}
		w.line("  %-28s %s %-12s %-12s %s", h.ID, state, h.Accidental, h.Attack, h.What)
	}
}

// valueMost is how much of a long value is shown; JSON has all of it.
const valueMost = 100

func value(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = guarantee.Text(v)
	case host.Choice:
		text = v.Selected + " of " + strings.Join(v.Options, ", ")
	case []string:
		text = strings.Join(v, ", ")
	case fmt.Stringer:
		text = guarantee.Text(v.String())
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		text = string(b)
	}
	if text == "" || text == "[]" || text == "{}" {
		return faint.Render("none")
	}
	if len(text) > valueMost {
		text = strings.ToValidUTF8(text[:valueMost], "") + "…"
	}
	return text
}
