package term

import (
	"fmt"
	"strings"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/kernel/memfd"
)

// Memfds shows all memfds and files of secret memory, and who holds, maps and runs each.
func (w *Writer) Memfds(files []*memfd.File) {
	if len(files) == 0 {
		w.line("no memfd and no secret memory was seen")
		return
	}
	for _, f := range files {
		name := guarantee.Text(f.Name)
		if f.Kind == memfd.Secret {
			name = "secret memory"
		}
		w.line("%s  %s inode %d on %s", bold.Render(name), f.Kind, f.ID.Inode, f.ID.Device)
		w.line("  %s", attributes(f))
		for _, h := range f.Holders {
			w.line("  %-9s %s %s", "held by", who(h.Process), faint.Render(handles(h.FDs)))
		}
		for _, m := range f.Mappers {
			style := faint
			if strings.Contains(m.Perms, "x") {
				style = bad
			}
			w.line("  %-9s %s %s", "mapped by", who(m.Process), style.Render(fmt.Sprintf("%s %x-%x", m.Perms, m.Start, m.End)))
		}
		for _, p := range f.Executing {
			w.line("  %-9s %s", bad.Render("run by"), who(p))
		}
	}
}

func attributes(f *memfd.File) string {
	if f.AttributesErr != nil {
		return warn.Render("mode, size and seals unknown: " + guarantee.Text(f.AttributesErr.Error()))
	}
	executable := good.Render("not executable")
	if f.Executable() {
		executable = warn.Render("executable")
	}
	if f.Kind == memfd.Secret {
		executable = good.Render("never executable")
	}
	seals := "seals: " + f.Seals.String()
	if f.SealsErr != nil {
		seals = "seals unknown: " + guarantee.Text(f.SealsErr.Error())
		if f.Kind == memfd.Secret {
			seals = "takes no seals"
		}
	}
	return fmt.Sprintf("mode %04o (%s), %s, %s allocated, owner %d, %s", f.Mode&0o7777, executable, Size(uint64(f.Size)), Size(uint64(f.Allocated)), f.UID, seals)
}

func who(p memfd.Process) string { return fmt.Sprintf("%s (pid %d)", guarantee.Text(p.Comm), p.PID) }

func handles(fds []memfd.Handle) string {
	var all []string
	for _, h := range fds {
		text := fmt.Sprintf("fd %d", h.FD)
		if h.InfoErr == nil && !h.CloseOnExec {
			text += " (kept over exec)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
