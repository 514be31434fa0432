// Package memsearch searches the memory of this process for bytes, for tests that say where a
// secret is, and where it is not.
package memsearch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/safevma/safevma/internal/sys"
)

// Needle is what is searched for. It is kept masked, so that it is not found in itself.
type Needle struct{ masked []byte }

const mask = 0x5a

// Of returns a needle for bytes, of which no copy is kept. It should be 16 bytes or more, and not
// be a constant of the program.
func Of(b []byte) Needle {
	n := Needle{make([]byte, len(b))}
	for i := range b {
		n.masked[i] = b[i] ^ mask
	}
	return n
}

// Hit is a place where it was found.
type Hit struct {
	Addr    uint64
	Mapping string // the line of /proc/self/maps
}

func (h Hit) String() string { return fmt.Sprintf("%#x in %s", h.Addr, h.Mapping) }

// In says whether the hit is in some bytes.
func (h Hit) In(b []byte) bool {
	return len(b) > 0 && h.Addr >= sys.Addr(b) && h.Addr < sys.Addr(b)+uint64(len(b))
}

// most is how big a mapping may be: bigger ones are shadows of the race detector.
const most = 8 << 30

// Find returns all places, of present pages, that can be read through /proc/self/mem. What is in
// registers is not searched, nor what crosses from one mapping to the next.
func (n Needle) Find() ([]Hit, error) {
	s := searcher{needle: n.masked}
	var err error
	if s.mem, err = os.Open("/proc/self/mem"); err != nil {
		return nil, err
	}
	defer s.mem.Close()
	if s.pagemap, err = os.Open("/proc/self/pagemap"); err != nil {
		return nil, err
	}
	defer s.pagemap.Close()
	// Outside of the Go heap, and passed over itself: shared, so that it is a mapping of its own.
	if s.buf, err = sys.Mmap(1<<20, sys.ProtRead|sys.ProtWrite, sys.MapShared|sys.MapAnonymous, -1, 0); err != nil {
		return nil, err
	}
	defer sys.Munmap(s.buf)
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(maps)) {
		s.line = strings.TrimSpace(line)
		if err := s.mapping(); err != nil {
			return nil, err
		}
	}
	return s.hits, nil
}

type searcher struct {
	needle, buf  []byte
	mem, pagemap *os.File
	line         string
	hits         []Hit
}

// mapping searches the runs of present pages in one mapping.
func (s *searcher) mapping() error {
	var begin, end uint64
	var perm string
	if _, err := fmt.Sscanf(s.line, "%x-%x %s", &begin, &end, &perm); err != nil {
		return fmt.Errorf("%q: %w", s.line, err)
	}
	if perm[0] != 'r' || end-begin > most || begin == sys.Addr(s.buf) || begin >= 1<<63 {
		return nil
	}
	page := uint64(os.Getpagesize())
	entries := make([]byte, (end-begin)/page*8)
	if _, err := s.pagemap.ReadAt(entries, int64(begin/page*8)); err != nil {
		return fmt.Errorf("pagemap of %q: %w", s.line, err)
	}
	for at := begin; at < end; {
		run := at
		for run < end && present(entries[(run-begin)/page*8:]) {
			run += page
		}
		s.run(at, run)
		at = max(run, at+page)
	}
	return nil
}

func present(entry []byte) bool { return binary.NativeEndian.Uint64(entry)>>63 != 0 }

// run searches [at, end). Pages that can't be read so, as those of secret memory, are passed over.
func (s *searcher) run(at, end uint64) {
	for at < end {
		n := min(end-at, uint64(len(s.buf)))
		got, err := s.mem.ReadAt(s.buf[:n], int64(at))
		toggle(s.buf[:got])
		for from := 0; ; {
			i := bytes.Index(s.buf[from:got], s.needle)
			if i < 0 {
				break
			}
			s.hit(at + uint64(from+i))
			from += i + 1
		}
		if err != nil || n < uint64(len(s.buf)) {
			return
		}
		at += n - uint64(len(s.needle)) + 1
	}
}

// hit notes a place once: a mapping that grows while the list is read may be there twice.
func (s *searcher) hit(addr uint64) {
	if !slices.ContainsFunc(s.hits, func(h Hit) bool { return h.Addr == addr }) {
		s.hits = append(s.hits, Hit{addr, s.line})
	}
}

// toggle masks bytes of the buffer, and a race detector would be slow at it.
//
//go:norace
func toggle(b []byte) {
	for i := range b {
		b[i] ^= mask
	}
}
