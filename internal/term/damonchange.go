package term

import (
	"fmt"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/damon"
)

// DAMONChange shows what was written, or would be, and what is there now.
func (w *Writer) DAMONChange(c *damon.Change) {
	if len(c.Writes) == 0 {
		w.line("nothing to write: it is like that")
	}
	for _, write := range c.Writes {
		to := guarantee.Text(write.To)
		if write.New {
			w.text(0, "%s = %s", write.File, bold.Render(to))
			continue
		}
		w.text(0, "%s: %s → %s", write.File, guarantee.Text(write.From), bold.Render(to))
	}
	if c.DryRun {
		w.line("%s", faint.Render("nothing was written"))
		return
	}
	for n, k := range c.Kdamonds {
		state := string(k.State)
		if k.State == damon.On {
			state = good.Render(fmt.Sprintf("on (pid %d)", k.PID))
		}
		w.line("%s: %s", bold.Render(fmt.Sprintf("kdamond %d", n)), state)
	}
	if len(c.Kdamonds) == 0 {
		w.line("there is no kdamond")
	}
}
