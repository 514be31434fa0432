package slab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Info is a line of /proc/slabinfo: a cache under the name that it had first.
type Info struct {
	Name    string `json:"name"`
	Active  uint64 `json:"active_objects"`
	Total   uint64 `json:"total_objects"`
	Size    uint64 `json:"slab_size"` // bytes that an object takes
	PerSlab uint64 `json:"objects_per_slab"`
	Pages   uint64 `json:"pages_per_slab"`
	Slabs   uint64 `json:"slabs"`
}

// Info reads /proc/slabinfo (slabinfo(5)), for which root alone has the right.
func (f FS) Info() ([]Info, error) {
	file, err := os.Open(filepath.Join(f.proc, "slabinfo"))
	if err != nil {
		return nil, classify(err)
	}
	defer file.Close()
	list, err := parseInfo(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	return list, nil
}

// parseInfo parses version 2.1: "name active num size perslab pages : tunables l b s :
// slabdata active_slabs num_slabs shared". A name may have spaces in it.
func parseInfo(r io.Reader) ([]Info, error) {
	scan := bufio.NewScanner(r)
	if scan.Scan(); !strings.HasPrefix(scan.Text(), "slabinfo - version: 2.") {
		return nil, fmt.Errorf("%w: version %q", ErrMalformed, scan.Text())
	}
	list := []Info{}
	for scan.Scan() {
		line := scan.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		info, ok := parseInfoLine(line)
		if !ok {
			return nil, fmt.Errorf("%w: %q", ErrMalformed, line)
		}
		list = append(list, info)
	}
	return list, scan.Err()
}

func parseInfoLine(line string) (Info, bool) {
	objects, rest, ok := strings.Cut(line, " : tunables ")
	_, slabdata, ok2 := strings.Cut(rest, " : slabdata ")
	words, slabs := strings.Fields(objects), strings.Fields(slabdata)
	if !ok || !ok2 || len(words) < 6 || len(slabs) < 2 {
		return Info{}, false
	}
	at := len(words) - 5
	info := Info{Name: strings.Join(words[:at], " ")}
	for i, field := range []*uint64{&info.Active, &info.Total, &info.Size, &info.PerSlab, &info.Pages} {
		n, err := strconv.ParseUint(words[at+i], 10, 48)
		if err != nil {
			return Info{}, false
		}
		*field = n
	}
	n, err := strconv.ParseUint(slabs[1], 10, 48)
	info.Slabs = n
	return info, err == nil
}
