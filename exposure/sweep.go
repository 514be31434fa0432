package exposure

import (
	"context"

	"github.com/safevma/safevma/kernel/vma"
)

// Memory is a picture of all physical memory: cells of equal size, in the order of
// addresses.
type Memory struct {
	Frames  uint64 // from 0 to the last one, holes among them
	PerCell uint64 // frames a cell; the last one may have fewer
	Cells   []Cell
	// Counts are frames by class, indexed by [vma.FrameClass].
	Counts [8]uint64
	// BesideSlab and BesidePageTable are how many frames that any process maps have such a
	// neighbour: the kernel keeps what it can't move apart from what it can, in blocks of
	// some MiB, so they are few until memory is scarce.
	BesideSlab, BesidePageTable uint64
}

// Cell counts the frames of a part of memory.
type Cell struct {
	// Counts are by [vma.FrameClass], those of the process left out.
	Counts [8]uint32
	// Own frames are of the process, Exposed those of them that are exposed.
	Own, Exposed uint32
}

// Add adds the counts of another cell.
func (c *Cell) Add(other *Cell) {
	for i, n := range other.Counts {
		c.Counts[i] += n
	}
	c.Own += other.Own
	c.Exposed += other.Exposed
}

// cellsMost is how finely memory is drawn.
const cellsMost = 8192

// atOnce is how many frames are read at once.
const atOnce = 1 << 16

// frame is what is known of one.
type frame struct {
	class FrameState
	count uint64
}

// FrameState is the class of a frame, and whether it is of the process.
type FrameState struct {
	vma.FrameClass
	Own bool
}

// sweep walks through all frames once, in order, and looks at the neighbours of those
// that are the process's.
type sweep struct {
	frames   *vma.Frames
	ram      ram
	own      []page // in ascending order; what has been passed is cut off
	exposure *Exposure

	flags  []vma.FrameFlags
	counts []uint64
	// before and here are the two frames before the next one.
	before, here frame
	pages        []page // of here
}

func (s *sweep) all(ctx context.Context) error {
	total, err := s.frames.Total()
	if err != nil {
		return err
	}
	m := &s.exposure.Memory
	m.Frames = total
	m.PerCell = (total + cellsMost - 1) / cellsMost
	m.Cells = make([]Cell, (total+m.PerCell-1)/m.PerCell)
	s.flags, s.counts = make([]vma.FrameFlags, atOnce), make([]uint64, atOnce)
	s.here = frame{class: FrameState{FrameClass: vma.FrameIsHole}}
	for first := uint64(0); first < total; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := s.part(first, min(atOnce, total-first))
		if err != nil {
			return err
		}
		first += n
	}
	s.next(total, frame{class: FrameState{FrameClass: vma.FrameIsHole}}, nil)
	s.exposure.Special += uint64(len(s.own)) // behind the last frame: registers of devices
	return nil
}

// part reads and judges some frames. How often they are mapped is asked only where the
// process has any.
func (s *sweep) part(first, n uint64) (uint64, error) {
	flags := s.flags[:n]
	got, err := s.frames.FlagsOf(first, flags)
	if err != nil {
		return 0, err
	}
	if got == 0 { // memory was taken away meanwhile
		clear(flags)
		for i := range flags {
			flags[i] = vma.FrameNoPage
		}
		got = len(flags)
	}
	counts := s.counts[:got]
	clear(counts)
	if len(s.own) > 0 && s.own[0].frame < first+uint64(got) {
		if _, err := s.frames.MappedOf(first, counts); err != nil {
			return 0, err
		}
	}
	for i := range got {
		number := first + uint64(i)
		if flags[i] == 0 && s.ram.hole(number) {
			flags[i] = vma.FrameNoPage
		}
		var own []page
		for len(s.own) > len(own) && s.own[len(own)].frame == number {
			own = s.own[:len(own)+1]
		}
		s.own = s.own[len(own):]
		state := FrameState{FrameClass: flags[i].Class(), Own: len(own) > 0 && ownable(flags[i])}
		if len(own) > 0 && !state.Own {
			s.exposure.Special += uint64(len(own))
			own = nil
		}
		s.next(number, frame{state, counts[i]}, own)
	}
	return uint64(got), nil
}

// ownable: pages of the kernel's image, of devices and of zeroes are mapped into many
// processes, and belong to none.
func ownable(f vma.FrameFlags) bool {
	return !f.Has(vma.FrameReserved) && !f.Has(vma.FrameNoPage) && !f.Has(vma.FrameZeroPage)
}

// next takes the frame after here, so that here can be judged: it has both neighbours now.
func (s *sweep) next(number uint64, after frame, pages []page) {
	if number > 0 {
		s.judge(number-1, after)
	}
	s.before, s.here, s.pages = s.here, after, pages
}

func (s *sweep) judge(number uint64, after frame) {
	m := &s.exposure.Memory
	m.Counts[s.here.class.FrameClass]++
	cell := &m.Cells[number/m.PerCell]
	if s.here.class.FrameClass == vma.FrameIsMapped {
		m.BesideSlab += beside(vma.FrameIsSlab, s.before, after)
		m.BesidePageTable += beside(vma.FrameIsPageTable, s.before, after)
	}
	if !s.here.class.Own {
		cell.Counts[s.here.class.FrameClass]++
		return
	}
	one := s.neighbours(s.before, after)
	cell.Own++
	cell.Exposed += uint32(one.Exposed)
	seen := false // in a row that is secret
	for i, page := range s.pages {
		row := &s.exposure.Rows[page.row]
		seen = seen || row.Secret
		if i == 0 || page.row != s.pages[i-1].row {
			row.Neighbours.add(one, row.Secret)
		}
	}
	if seen {
		cell.Exposed -= uint32(one.Exposed)
	}
	s.exposure.Total.add(one, seen)
}

// beside is 1 where one of two neighbours is of a class.
func beside(class vma.FrameClass, before, after frame) uint64 {
	if before.class.FrameClass == class || after.class.FrameClass == class {
		return 1
	}
	return 0
}

// neighbours says what here has beside it.
func (s *sweep) neighbours(before, after frame) Neighbours {
	one := Neighbours{Pages: 1}
	for _, f := range []frame{before, after} {
		if f.class.Own {
			continue
		}
		switch f.class.FrameClass {
		case vma.FrameIsSlab:
			one.Slab = 1
		case vma.FrameIsPageTable:
			one.PageTable = 1
		case vma.FrameIsMapped:
			one.Foreign = 1
		case vma.FrameIsKernel:
			one.Kernel = 1
		}
	}
	one.Exposed = max(one.Slab, one.PageTable, one.Foreign)
	if s.here.count > uint64(len(s.pages)) {
		one.Shared = 1
	}
	return one
}

func (n *Neighbours) add(one Neighbours, secret bool) {
	n.Pages += one.Pages
	n.Shared += one.Shared
	if secret {
		n.Secret++
		return
	}
	n.Exposed += one.Exposed
	n.Slab += one.Slab
	n.PageTable += one.PageTable
	n.Foreign += one.Foreign
	n.Kernel += one.Kernel
}
