package offender

import (
	"encoding/hex"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

// hostile are file names that a reader of /proc/PID/maps may take for something
// else. The kernel writes a newline as \012 there, and everything else as it is: a
// backslash too, so that two different names can look the same.
var hostile = []string{
	"with several  spaces",
	" spaces around ",
	"new\nline",
	`new\012line`,
	"both \n and \\012",
	"exists (deleted)",
	"memfd:fake (deleted)",
	"secretmem (deleted)",
	"[stack]",
	"anon_inode:[fake]",
	"not UTF-8 \xff\xfe\x80\xc3",
	"escape \x1b[31mred\x1b[0m\x1b]0;title\x07",
	"tab\tand\rreturn",
	"x\n7f0000000000-7f0000001000 rwxp 00000000 00:00 0 [stack]",
	"x\nVmFlags: rd wr ex mr mw me lo",
	"x\nLocked:                0 kB",
	`{"quote":"'$(id)` + "`id`",
	"Rss:                   0 kB",
	"\u202egnp.exe \u0085next",
	strings.Repeat("\n", 255),
	strings.Repeat("n", 255),
}

// hostileNames maps a file of each name, as a loader maps a library's text.
func hostileNames(r *run) error {
	dir, err := r.tempDir()
	if err != nil {
		return err
	}
	for _, name := range hostile {
		b, err := r.mapFile(name, 1, protRX, sys.MapPrivate)
		if err != nil {
			return err
		}
		r.also("", b)
		r.report.Ranges[len(r.report.Ranges)-1].NameHex = hex.EncodeToString([]byte(filepath.Join(dir, name)))
	}
	return nil
}
