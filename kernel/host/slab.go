package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/safevma/safevma/guarantee"
)

// Slab is the state of the kernel's allocator of small objects.
type Slab struct {
	// Checks is how many of the general caches (kmalloc-…) check what; readable for the
	// superuser, where the kernel has CONFIG_SLUB_DEBUG.
	Checks Value[SlabChecks] `fact:"checks"`
	// Merged is how many caches were merged into another one: objects of different kinds
	// then lie side by side.
	Merged Value[int] `fact:"merged"`
}

// SlabChecks counts caches (Documentation/admin-guide/mm/slab.rst).
type SlabChecks struct {
	Caches    int `json:"caches"`
	Sanity    int `json:"sanity_checks"`
	RedZone   int `json:"red_zone"`
	Poison    int `json:"poison"`
	StoreUser int `json:"store_user"`
}

// Full reports whether every cache checks its objects and the zones around them.
func (c SlabChecks) Full() bool {
	return c.Caches > 0 && c.Sanity == c.Caches && c.RedZone == c.Caches
}

func (s *session) slab(f *Facts) {
	source := s.sysfs("kernel", "slab")
	entries, err := os.ReadDir(source)
	if err != nil {
		f.Slab.Checks = unknown[SlabChecks](guarantee.Read, source, "", err)
		f.Slab.Merged = unknown[int](guarantee.Read, source, "", err)
		return
	}
	f.Slab.Checks = slabChecks(source, entries)
	f.Slab.Merged = slabMerged(source, entries)
}

func slabChecks(source string, entries []os.DirEntry) Value[SlabChecks] {
	var c SlabChecks
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, "kmalloc-") {
			continue
		}
		c.Caches++
		for file, count := range map[string]*int{"sanity_checks": &c.Sanity, "red_zone": &c.RedZone, "poison": &c.Poison, "store_user": &c.StoreUser} {
			on, err := readSwitch(filepath.Join(source, name, file)).Get()
			if err != nil {
				return unknown[SlabChecks](guarantee.Read, source, name, err)
			}
			if on {
				*count++
			}
		}
	}
	if c.Caches == 0 {
		return unknown[SlabChecks](guarantee.Read, source, "", fmt.Errorf("%w: no kmalloc cache", ErrAbsent))
	}
	raw := fmt.Sprintf("%d kmalloc caches: sanity_checks=1 in %d, red_zone=1 in %d, poison=1 in %d, store_user=1 in %d",
		c.Caches, c.Sanity, c.RedZone, c.Poison, c.StoreUser)
	return known(c, guarantee.Read, source, raw)
}

// slabMerged counts the caches that share the memory of another one: each cache that
// can be shared is a directory ":…", and each that uses it a link to it.
func slabMerged(source string, entries []os.DirEntry) Value[int] {
	var links, shared int
	for _, entry := range entries {
		switch {
		case entry.Type()&os.ModeSymlink != 0:
			links++
		case strings.HasPrefix(entry.Name(), ":"):
			shared++
		}
	}
	raw := fmt.Sprintf("%d names lead to %d caches", links, shared)
	if links < shared {
		return unknown[int](guarantee.Read, source, raw, malformed("a cache that no name leads to"))
	}
	return known(links-shared, guarantee.Read, source, raw)
}
