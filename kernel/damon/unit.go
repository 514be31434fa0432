package damon

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// unit is what the numbers of a field are of: plain ones, or with a suffix.
type unit struct {
	name     string
	suffixes map[string]float64
	of       float64 // what a number without a suffix is of, in suffixes
	most     uint64  // "max"
}

var (
	seconds = map[string]float64{"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9}
	sizes   = map[string]float64{"B": 1, "K": 1 << 10, "KB": 1 << 10, "KiB": 1 << 10, "M": 1 << 20, "MB": 1 << 20, "MiB": 1 << 20,
		"G": 1 << 30, "GB": 1 << 30, "GiB": 1 << 30, "T": 1 << 40, "TB": 1 << 40, "TiB": 1 << 40, "P": 1 << 50, "PB": 1 << 50, "PiB": 1 << 50,
		"E": 1 << 60, "EB": 1 << 60, "EiB": 1 << 60}

	plain        = unit{"something", nil, 1, math.MaxUint64}
	counts       = unit{"aggregations or samples, without a unit", nil, 1, math.MaxUint32}
	byteSizes    = unit{"bytes", sizes, 1, math.MaxUint64}
	microseconds = unit{"microseconds, or with a unit", seconds, 1e3, math.MaxUint64}
	milliseconds = unit{"milliseconds, or with a unit", seconds, 1e6, math.MaxUint64}
	percent      = unit{"per cent", map[string]float64{"%": 1}, 1, math.MaxUint64}
	perMille     = unit{"per mille, or per cent", map[string]float64{"%": 10}, 1, math.MaxUint64}
	basisPoints  = unit{"basis points, or per cent", map[string]float64{"%": 100}, 1, math.MaxUint64}
)

// parse parses a number, such as 5, "1,000", "5 ms", "1 m 30 s", "4.0 KiB",
// "12.5 %", "min" and "max".
// What is more than nothing does not become 0, which often means no limit.
func (u unit) parse(x any) (uint64, error) {
	text := bare(x)
	if text == "max" {
		return u.most, nil
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	sum, err := u.amount(text)
	switch {
	case err != nil, sum > 0 && sum < 1-tiny:
		return 0, cmp.Or(err, ErrMalformed)
	case sum >= math.MaxUint64:
		return math.MaxUint64, nil
	}
	return uint64(sum + tiny), nil
}

// tiny is by how much amounts may be off: 0.57 % is 57 basis points.
const tiny = 1e-6

func bare(x any) string { return strings.ReplaceAll(strings.TrimSpace(fmt.Sprint(x)), ",", "") }

// amount is parse before fractions are cut off.
func (u unit) amount(x any) (sum float64, err error) {
	text := bare(x)
	switch text {
	case "min":
		return 0, nil
	case "max":
		return float64(u.most), nil
	}
	for rest := text; rest != ""; {
		n, after, err := u.one(rest)
		if err != nil {
			return 0, err
		}
		sum, rest = sum+n, after
	}
	if text == "" || sum < 0 || math.IsNaN(sum) {
		return 0, ErrMalformed
	}
	return sum, nil
}

// one parses the first number with its suffix.
func (u unit) one(text string) (n float64, rest string, err error) {
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(text)
	}
	if n, err = strconv.ParseFloat(text[:end], 64); err != nil {
		return 0, "", err
	}
	if text = strings.TrimLeft(text[end:], " "); text == "" {
		return n, "", nil
	}
	if end = strings.IndexFunc(text, func(r rune) bool { return r == ' ' || r >= '0' && r <= '9' }); end < 0 {
		end = len(text)
	}
	factor, ok := u.suffixes[text[:end]]
	if !ok {
		return 0, "", ErrMalformed
	}
	return n * factor / u.of, strings.TrimLeft(text[end:], " "), nil
}
