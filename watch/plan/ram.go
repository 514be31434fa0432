package plan

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/safevma/safevma/kernel/damon"
)

// ErrNoRAM: /proc/iomem says nothing of memory to this reader.
var ErrNoRAM = errors.New("/proc/iomem shows no System RAM to this process: name the --region")

// RAM returns the ranges of physical memory that the kernel manages (/proc/iomem, which
// shows numbers to root alone).
func RAM() ([]damon.AddrRegion, error) {
	file, err := os.Open("/proc/iomem")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseRAM(file)
}

func parseRAM(r io.Reader) ([]damon.AddrRegion, error) {
	var list []damon.AddrRegion
	scan := bufio.NewScanner(r)
	for scan.Scan() {
		line := scan.Text()
		text, ok := strings.CutSuffix(line, " : System RAM")
		if !ok || strings.HasPrefix(line, " ") {
			continue
		}
		var first, last uint64
		if _, err := fmt.Sscanf(text, "%x-%x", &first, &last); err != nil {
			return nil, fmt.Errorf("%w: /proc/iomem: %q", damon.ErrMalformed, line)
		}
		if last > first {
			list = append(list, damon.AddrRegion{Start: first, End: last + 1})
		}
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNoRAM
	}
	return list, nil
}
