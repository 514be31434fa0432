package hog

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

// Mapping is memory that a [Victim] has.
type Mapping struct {
	Bytes int
	// File is what is mapped, shared and for reading; empty is anonymous memory.
	File string
	// Reads: the file is not mapped, but read so many times through a descriptor.
	Reads int
	// Huge asks for huge pages; anonymous memory has none otherwise.
	Huge bool
	// Advice is for madvise(2); 0, MADV_NORMAL, is none.
	Advice int
}

// Victim is a process whose memory, and which of it is used, the test knows.
type Victim struct {
	*Process
	list      []Mapping
	addresses []uint64
}

// Maps starts a process that, when it is told to, takes memory and fills it, and then uses
// what it is told to. Its methods are for one goroutine.
func Maps(t T, list ...Mapping) *Victim {
	t.Helper()
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return &Victim{Process: start(t, "maps", string(text)), list: list}
}

// Address is where the mapping with this number is, once it has begun.
func (v *Victim) Address(number int) uint64 { return v.addresses[number] }

// Mappings are where all that is mapped begins and ends.
func (v *Victim) Mappings() (all [][2]uint64) {
	for i, m := range v.list {
		if m.Reads == 0 {
			all = append(all, [2]uint64{v.addresses[i], v.addresses[i] + uint64(m.Bytes)})
		}
	}
	return all
}

// order is what a victim is told, a line of JSON.
type order struct {
	What     string // touch, keep or rest
	Mapping  int
	From, To int // in bytes
}

// Touch has each page of a part of a mapping used once.
func (v *Victim) Touch(number, from, to int) error { return v.do(order{"touch", number, from, to}) }

// Keep has a part used again and again, until the next order.
func (v *Victim) Keep(number, from, to int) error { return v.do(order{"keep", number, from, to}) }

// Rest has nothing used any more.
func (v *Victim) Rest() error { return v.do(order{What: "rest"}) }

func (v *Victim) do(o order) error {
	if err := json.NewEncoder(v.in).Encode(o); err != nil {
		return err
	}
	return v.Ready()
}

// Begin lets it take its memory, and waits until it is filled.
func (v *Victim) Begin() error {
	if err := v.Go(); err != nil {
		return err
	}
	line, err := v.out.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, &v.addresses); err != nil {
		return fmt.Errorf("it says %q: %w", line, err)
	}
	return v.Ready()
}

// places finds room for mappings, each at a border of huge pages: right behind the heap. The
// three regions that DAMON makes of an address space are what lies between its two largest
// gaps, and those are on both sides of the heap: so one of the regions is heap and mappings.
func places(list []Mapping) []uint64 {
	const arena, huge = 64 << 20, 2 << 20 // of Go's heap; of the processor
	at := sys.Addr(make([]byte, 64<<10))&^(arena-1) + arena
	var all []uint64
	for _, m := range list {
		at += huge
		all = append(all, at)
		at += (uint64(m.Bytes) + huge - 1) &^ (huge - 1)
	}
	return all
}

// serve is the victim's side.
func serve(argument string, input *bufio.Reader) error {
	var list []Mapping
	if err := json.Unmarshal([]byte(argument), &list); err != nil {
		return err
	}
	memory, at := make([][]byte, len(list)), places(list)
	for i, m := range list {
		var err error
		if memory[i], err = m.take(at[i]); err != nil {
			return fmt.Errorf("mapping %d: %w", i, err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
		return err
	}
	fmt.Println("ready")
	return obey(decode(input), list, memory)
}

func decode(input *bufio.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		for dec := json.NewDecoder(input); ; {
			var o order
			if dec.Decode(&o) != nil { // the test has closed the other end
				return
			}
			orders <- o
		}
	}()
	return orders
}

// pause between two rounds of what is kept in use.
const pause = 2 * time.Millisecond

func obey(orders <-chan order, list []Mapping, memory [][]byte) error {
	var kept *order
	for {
		var next <-chan time.Time
		if kept != nil {
			next = time.After(pause)
		}
		select {
		case o, ok := <-orders:
			if !ok {
				return nil
			}
			kept = nil
			switch o.What {
			case "keep":
				kept = &o
			case "touch":
				if err := list[o.Mapping].touch(memory[o.Mapping][o.From:o.To]); err != nil {
					return err
				}
			}
			fmt.Println("ready")
		case <-next:
			if err := list[kept.Mapping].touch(memory[kept.Mapping][kept.From:kept.To]); err != nil {
				return err
			}
		}
	}
}

// take maps and fills the memory.
func (m *Mapping) take(at uint64) ([]byte, error) {
	if m.Reads > 0 {
		for range m.Reads {
			if err := readAll(m.File); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}
	place := sys.Bytes(at, m.Bytes)
	if err := m.mapAt(place); err != nil {
		return nil, err
	}
	if m.Advice != 0 {
		if err := sys.Madvise(place, m.Advice); err != nil {
			return nil, err
		}
	}
	if m.File == "" {
		for i := 0; i < len(place); i += os.Getpagesize() {
			place[i] = 1
		}
	}
	readPages(place)
	return place, nil
}

// readPages reads a byte of each page.
func readPages(b []byte) {
	var sum byte
	for i := 0; i < len(b); i += os.Getpagesize() {
		sum += b[i]
	}
	runtime.KeepAlive(sum) // or the compiler could leave the reading out
}

func (m *Mapping) mapAt(place []byte) error {
	if m.File != "" {
		file, err := os.Open(m.File)
		if err != nil {
			return err
		}
		defer file.Close()
		return sys.MmapAt(place, sys.ProtRead, sys.MapShared|sys.MapFixedNoreplace, int(file.Fd()), 0)
	}
	if err := sys.MmapAt(place, sys.ProtRead|sys.ProtWrite, sys.MapPrivate|sys.MapAnonymous|sys.MapFixedNoreplace, -1, 0); err != nil {
		return err
	}
	if m.Huge {
		return sys.Madvise(place, sys.MadvHugepage)
	}
	return sys.Madvise(place, sys.MadvNohugepage)
}

// touch reads each page. Before that the processor forgets what it knows of them, since it
// notes an access only where it looks at the page table: the kernel takes the accessed bit
// away without telling it (x86), and an emulator forgets seldom.
func (m *Mapping) touch(b []byte) error {
	protection := sys.ProtRead
	if m.File == "" {
		protection |= sys.ProtWrite
	}
	if err := sys.Mprotect(b, sys.ProtNone); err != nil {
		return err
	}
	if err := sys.Mprotect(b, protection); err != nil {
		return err
	}
	readPages(b)
	return nil
}
