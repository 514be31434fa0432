package region

import "github.com/safevma/safevma/internal/sys"

const minced = 256 // pages that are asked for at once

// allPresent reports whether all pages are in memory, as mincore(2) says.
func allPresent(pages []byte) bool {
	all := true
	_ = eachPresence(pages, func(_ []byte, present bool) { all = all && present })
	return all
}

// eachPresence calls fn with each page.
func eachPresence(pages []byte, fn func(page []byte, present bool)) error {
	var in [minced]byte
	for len(pages) > 0 {
		part := pages[:min(len(pages), minced*pageSize)]
		if err := sys.Mincore(part, in[:]); err != nil {
			return err
		}
		for i := range len(part) / pageSize {
			fn(part[i*pageSize:(i+1)*pageSize], in[i]&1 != 0)
		}
		pages = pages[len(part):]
	}
	return nil
}
