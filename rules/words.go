package rules

import (
	"fmt"
	"strings"
)

// list writes names as "a, b and c".
func list[T ~string](names []T) string {
	var b strings.Builder
	for i, name := range names {
		switch {
		case i == 0:
		case i == len(names)-1:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(string(name))
	}
	return b.String()
}

// oneOf says which names are possible, and which was probably meant.
func oneOf[T ~string](got string, names []T) string {
	plain := make([]string, len(names))
	for i, name := range names {
		plain[i] = string(name)
	}
	if near := nearest(got, plain); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "use one of " + strings.Join(plain, ", ")
}

// nearest returns the name that is most like got, where one is like it at all.
func nearest(got string, names []string) string {
	best, bestDistance := "", min(2, len(got)/3)+1
	if len(got) > 64 {
		return ""
	}
	for _, name := range names {
		if d := distance(got, name); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance is the number of letters to change, drop or add (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
