package term

import (
	"fmt"
	"strings"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/cgroup"
	"github.com/safevma/safevma/kernel/psi"
	"github.com/safevma/safevma/watch"
)

// Pressure shows the pressure of the host and of its groups: those that had to do with
// some, or all.
func (w *Writer) Pressure(p *watch.Pressure, all bool) {
	w.line("%s", bold.Render(fmt.Sprintf("%-8s %-5s %8s %8s %8s %14s", "HOST", "", "10 s", "60 s", "300 s", "IN ALL")))
	for _, r := range p.Host {
		w.reading(r)
	}
	w.line("")
	quiet := 0
	for i := range p.Groups {
		if g := &p.Groups[i]; all || !g.Quiet() {
			w.cgroup(g)
		} else {
			quiet++
		}
	}
	if quiet > 0 {
		w.line("%s", faint.Render(fmt.Sprintf("%d groups without pressure on memory: --all", quiet)))
	}
	if p.Unseen != "" {
		w.text(0, "%s", warn.Render("groups unknown: "+p.Unseen))
	}
}

func (w *Writer) reading(r watch.Reading) {
	if r.Pressure == nil {
		w.text(0, "%-8s %s", r.Resource, warn.Render("unknown: "+r.Unknown))
		return
	}
	for _, kind := range []psi.Kind{psi.Some, psi.Full} {
		if kind == psi.Some && !r.Pressure.HasSome || kind == psi.Full && !r.Pressure.HasFull {
			continue
		}
		l := r.Pressure.Line(kind)
		w.line("%-8s %-5s %s %s %s %14s", r.Resource, kind, percent(l.Avg10), percent(l.Avg60), percent(l.Avg300), l.Total.Round(time.Millisecond))
	}
}

// percent colours what a person should look at: from 1 % on, and from 10 %.
func percent(n float64) string {
	text := fmt.Sprintf("%6.2f %%", n)
	switch {
	case n >= 10:
		return bad.Render(text)
	case n >= 1:
		return warn.Render(text)
	}
	return text
}

func (w *Writer) cgroup(g *watch.Group) {
	w.text(0, "%s %s", bold.Render(g.Path), faint.Render(fmt.Sprintf("(version %d)", g.Version)))
	for _, r := range g.Readings {
		w.reading(r)
	}
	if g.Memory != nil {
		w.text(0, "%-8s %s", "memory", amounts(g.Memory))
	}
	if g.Events != nil {
		w.text(0, "%-8s %s", "events", events(g.Events))
	}
	if g.Unknown != "" {
		w.text(0, "%s", warn.Render("unknown: "+g.Unknown))
	}
}

func amounts(m *cgroup.Memory) string {
	var all []string
	for _, one := range []struct {
		name   string
		amount *cgroup.Amount
	}{{"used", m.Current}, {"peak", m.Peak}, {"max", m.Max}, {"high", m.High}, {"low", m.Low}, {"min", m.Min}, {"soft", m.Soft}, {"swap", m.Swap}, {"swap max", m.SwapMax}} {
		switch {
		case one.amount == nil:
		case *one.amount == cgroup.Unlimited:
			all = append(all, one.name+" none")
		default:
			all = append(all, one.name+" "+Size(uint64(*one.amount)))
		}
	}
	return strings.Join(all, ", ")
}

func events(e *cgroup.Events) string {
	var all []string
	for _, one := range []struct {
		name  string
		count *uint64
	}{{"low", e.Low}, {"high", e.High}, {"max", e.Max}, {"oom", e.OOM}, {"killed", e.OOMKill}} {
		if one.count != nil {
			all = append(all, fmt.Sprintf("%s %d", one.name, *one.count))
		}
	}
	if e.UnderOOM != nil && *e.UnderOOM {
		all = append(all, bad.Render("tasks wait for memory now"))
	}
	if e.KillDisabled != nil && *e.KillDisabled {
		all = append(all, warn.Render("tasks wait instead of being killed"))
	}
	return strings.Join(all, ", ")
}

// PressureEvent shows a line of what is watched.
func (w *Writer) PressureEvent(e watch.Event) {
	at := faint.Render(e.At.Format("15:04:05.000"))
	switch e.Kind {
	case watch.Level:
		style := warn
		if e.Level != "low" {
			style = bad
		}
		w.line("%s %s: %s", at, e.Target, style.Render("level "+e.Level))
	case watch.Armed:
		note := ""
		if e.Asked != e.Trigger {
			note = warn.Render(" instead of " + e.Asked + ": without CAP_SYS_RESOURCE windows are multiples of 2 s")
		}
		w.text(0, "%s %s: waiting for %s%s", at, e.Target, e.Trigger, note)
	case watch.Stalled:
		w.line("%s %s: %s in %v, now %.2f %% over 10 s", at, e.Target, bad.Render("stalled "+micro(e.StalledUS)), e.At.Sub(*e.Since).Round(time.Millisecond), average(e))
	case watch.False:
		w.line("%s %s: %s: stalled %s in %v", at, e.Target, warn.Render("false event"), micro(e.StalledUS), e.At.Sub(*e.Since).Round(time.Millisecond))
	case watch.Gone:
		w.line("%s %s: %s", at, e.Target, warn.Render("the group was removed"))
	case watch.Finished:
		w.line("%s end: %d events of pressure, %d others", at, e.Confirmed, e.Unconfirmed)
	default:
		w.line("%s %s", at, guarantee.Text(string(e.Kind)))
	}
}

func micro(us int64) string {
	return (time.Duration(us) * time.Microsecond).Round(time.Microsecond).String()
}

func average(e watch.Event) float64 {
	kind, _, _ := strings.Cut(e.Trigger, " ")
	return e.Pressure.Line(psi.Kind(kind)).Avg10
}
