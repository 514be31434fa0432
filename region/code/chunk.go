package code

// chunkSize is what programs are allotted in: that of the kernel's allocator for BPF programs.
const chunkSize = 64

// chunks says which chunks are used.
type chunks struct {
	taken []bool
	first int // no chunk before it is free
	used  int
}

func newChunks(size int) chunks { return chunks{taken: make([]bool, size/chunkSize)} }

func chunksFor(n int) int { return (n + chunkSize - 1) / chunkSize }

// take returns the offset of the first place for n bytes.
func (c *chunks) take(n int) (off int, ok bool) {
	want, run := chunksFor(n), 0
	for c.first < len(c.taken) && c.taken[c.first] {
		c.first++
	}
	for i := c.first; i < len(c.taken); i++ {
		if run++; c.taken[i] {
			run = 0
		}
		if run == want {
			begin := i - want + 1
			c.mark(begin, want, true)
			return begin * chunkSize, true
		}
	}
	return 0, false
}

func (c *chunks) give(off, n int) {
	c.mark(off/chunkSize, chunksFor(n), false)
	c.first = min(c.first, off/chunkSize)
}

func (c *chunks) mark(begin, n int, taken bool) {
	for i := begin; i < begin+n; i++ {
		c.taken[i] = taken
	}
	if taken {
		c.used += n
	} else {
		c.used -= n
	}
}
