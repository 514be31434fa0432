package region

import "os"

var pageSize = os.Getpagesize()

// maxSize keeps the sum of data and guards an int.
const maxSize = 1 << 46

// guardRegionMin is from how many bytes on a region has guards without mappings of their own,
// where that is possible.
const guardRegionMin = 1 << 20

// alignment of the begin of the data: that of the largest word of Go's types.
const alignment = 8

// pagesFor returns the bytes of the pages that hold size bytes.
func pagesFor(size int) int { return (size + pageSize - 1) / pageSize * pageSize }

// begin returns where in the pages the data is: of a guarded region at their end, else at
// their begin.
//
//	guard | canary ... data ... 0 to 7 bytes of canary | guard
func (r *Region) begin() int {
	if !r.has.has(guarded) {
		return 0
	}
	return (len(r.pages) - r.size) / alignment * alignment
}

func (r *Region) arrange() {
	begin := r.begin()
	r.data = r.pages[begin : begin+r.size : begin+r.size]
}

// slack returns the bytes of a guarded region before and behind the data.
func (r *Region) slack() (before, behind []byte) {
	begin := r.begin()
	return r.pages[:begin], r.pages[begin+r.size:]
}
