package compare

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Markdown writes a table as the page has it. The conditions are a sentence about the
// machine and the run.
func (r Result) Markdown(conditions string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s\n\n", r.Title, r.About)
	unit := units[r.Unit]
	fmt.Fprintf(&b, "| | | CPU %s | wall %s | to the first | goal | |\n|---|---|---|---|---|---|---|\n", unit, unit)
	for k, m := range r.Match {
		for _, w := range m.Works {
			for i := range m.Contenders {
				b.WriteString(r.line(k, i, w))
			}
		}
	}
	fmt.Fprintf(&b, "\n%s%s", conditions, r.notes())
	return b.String()
}

var units = map[time.Duration]string{time.Nanosecond: "ns", time.Microsecond: "µs"}

// line is the row of a contender. Times are medians of their own, so their quotient is not
// quite the ratio, which is the median of the ratios of the rounds.
func (r Result) line(k, i int, w Work) string {
	c, o := r.Match[k].Contenders[i], r.Outcomes[k][i]
	title := ""
	if i == 0 {
		title = w.Title
	}
	if o.Lacking != "" || len(o.Rounds) == 0 {
		return fmt.Sprintf("| %s | %s | not run | | | %s | |\n", title, c.Name, goalText(c.Goals[w.Measure]))
	}
	cpu, wall := o.times(w.Measure, CPU), o.times(w.Measure, Wall)
	text := fmt.Sprintf("| %s | %s | %s | %s ", title, c.Name, number(cpu.median, r.Unit), number(wall.median, r.Unit))
	ratio, ok := o.ratio(w, r.Clock, r.Outcomes[k][0])
	switch {
	case i == 0 && w.Against == "":
		return text + "| 1 | | |\n"
	case !ok:
		return text + fmt.Sprintf("| | %s | |\n", goalText(c.Goals[w.Measure]))
	}
	return text + fmt.Sprintf("| %.2f (%.2f to %.2f) | %s | %s |\n", ratio.median, ratio.least, ratio.most,
		goalText(c.Goals[w.Measure]), verdict(c.Goals[w.Measure], ratio.median))
}

func goalText(goal float64) string {
	switch {
	case goal == 0:
		return ""
	case goal < 0:
		return fmt.Sprintf("≤ %g", -goal)
	}
	return fmt.Sprintf("≥ %g", goal)
}

// verdict says whether a goal is met. A negative goal is a most.
func verdict(goal, ratio float64) string {
	switch {
	case goal == 0:
		return ""
	case goal < 0 && ratio <= -goal, goal > 0 && ratio >= goal:
		return "met"
	}
	return "**missed**"
}

// number shows a time with three digits or more.
func number(ns float64, unit time.Duration) string {
	v := ns / float64(unit.Nanoseconds())
	if v < 100 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// notes are what contenders said, and why those that were not run were not.
func (r Result) notes() string {
	var all []string
	add := func(line string) {
		if !slices.Contains(all, line) {
			all = append(all, line)
		}
	}
	for k, m := range r.Match {
		for i, c := range m.Contenders {
			name := c.Name
			if len(r.Match) > 1 {
				name += ", " + m.Works[0].Title
			}
			for _, note := range r.Outcomes[k][i].Notes {
				add(fmt.Sprintf("- %s: %s", name, note))
			}
			if why := r.Outcomes[k][i].Lacking; why != "" {
				add(fmt.Sprintf("- **Not run: %s**: %s", name, why))
			}
		}
	}
	if len(all) == 0 {
		return "\n"
	}
	return "\n\n" + strings.Join(all, "\n") + "\n"
}
