package exposure

import (
	"os"
	"strconv"
	"strings"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// ram is where memory is: ranges of frames in ascending order. kpageflags should say of
// all else that there is no page (KPF_NOPAGE), but Linux 6.18 says 0, as of memory that
// the kernel uses itself.
type ram [][2]uint64 // first frame, and the one behind the last

// readRAM reads /proc/iomem. Where that says nothing, nothing is taken for a hole.
func readRAM(proc process.FS) ram {
	text, err := os.ReadFile(proc.Path("iomem"))
	if err != nil {
		return nil
	}
	return parseRAM(string(text))
}

func parseRAM(text string) ram {
	var r ram
	for line := range strings.Lines(text) {
		span, name, _ := strings.Cut(strings.TrimSpace(line), " : ")
		first, last, _ := strings.Cut(span, "-")
		start, err1 := strconv.ParseUint(first, 16, 64)
		end, err2 := strconv.ParseUint(last, 16, 64)
		if strings.HasPrefix(name, "System RAM") && err1 == nil && err2 == nil && end > start {
			r = append(r, [2]uint64{start / vma.PageSize, end/vma.PageSize + 1})
		}
	}
	return r
}

// hole reports whether a frame that has no flags is no memory. Frames are asked for in
// ascending order.
func (r *ram) hole(frame uint64) bool {
	if *r == nil {
		return false
	}
	for len(*r) > 1 && frame >= (*r)[0][1] {
		*r = (*r)[1:]
	}
	return frame < (*r)[0][0] || frame >= (*r)[0][1]
}
