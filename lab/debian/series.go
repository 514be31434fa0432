package debian

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Newest is the series that stands for the newest kernel there is.
const Newest = "newest"

// imageName is the name of a kernel package of the ordinary flavour: not cloud, rt or a
// size of pages.
var imageName = regexp.MustCompile(`^linux-image-((\d+\.\d+)[^ ]*?)-(amd64|arm64)$`)

var flavour = regexp.MustCompile(`-(cloud|rt|16k)$`)

// release is a kernel that packages offer.
type release struct {
	pkg    string // linux-image-6.12.117+deb13-amd64
	name   string // as uname -r says it: 6.12.117+deb13-amd64
	series string // 6.12
	arch   string
	key    []int // the numbers in the name, for ordering
}

func parseRelease(pkg string) (release, bool) {
	m := imageName.FindStringSubmatch(pkg)
	if m == nil || flavour.MatchString(m[1]) {
		return release{}, false
	}
	r := release{pkg: pkg, name: m[1] + "-" + m[3], series: m[2], arch: m[3]}
	for _, digits := range regexp.MustCompile(`\d+`).FindAllString(m[1], -1) {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return release{}, false
		}
		r.key = append(r.key, n)
	}
	return r, true
}

// choose returns the releases of a series that packages offer, the newest first.
func choose(pkgs []string, series, arch string) ([]release, error) {
	var found []release
	known := map[string]bool{}
	for _, pkg := range pkgs {
		r, ok := parseRelease(pkg)
		if !ok || r.arch != arch {
			continue
		}
		known[r.series] = true
		if series == Newest || r.series == series {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no kernel %s for %s: packages offer %s and %s", series, arch, strings.Join(ordered(known), ", "), Newest)
	}
	slices.SortFunc(found, func(a, b release) int { return slices.Compare(b.key, a.key) })
	return found, nil
}

func ordered(series map[string]bool) []string {
	var names []string
	for name := range series {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(major(a), major(b)), cmp.Compare(minor(a), minor(b))) })
	return names
}

func major(series string) int { n, _ := strconv.Atoi(strings.Split(series, ".")[0]); return n }
func minor(series string) int { n, _ := strconv.Atoi(strings.Split(series, ".")[1]); return n }
