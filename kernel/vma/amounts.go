package vma

import "bytes"

// amounts are the fields of smaps that are a number of kB, in the order in which Linux
// 6.18 prints them, and where each belongs: nil for those that this package passes over.
var amounts = [...]struct {
	key string
	of  func(*Mem) *uint64
}{
	sizeAmount: {key: "Size"}, // the addresses say so too
	{"KernelPageSize", func(m *Mem) *uint64 { return &m.KernelPageSize }},
	{key: "MMUPageSize"},
	{"Rss", func(m *Mem) *uint64 { return &m.Rss }},
	{"Pss", func(m *Mem) *uint64 { return &m.Pss }},
	{key: "Pss_Dirty"},
	{"Shared_Clean", func(m *Mem) *uint64 { return &m.SharedClean }},
	{"Shared_Dirty", func(m *Mem) *uint64 { return &m.SharedDirty }},
	{"Private_Clean", func(m *Mem) *uint64 { return &m.PrivateClean }},
	{"Private_Dirty", func(m *Mem) *uint64 { return &m.PrivateDirty }},
	{"Referenced", func(m *Mem) *uint64 { return &m.Referenced }},
	{"Anonymous", func(m *Mem) *uint64 { return &m.Anonymous }},
	{"KSM", func(m *Mem) *uint64 { return &m.KSM }},
	{"LazyFree", func(m *Mem) *uint64 { return &m.LazyFree }},
	{"AnonHugePages", func(m *Mem) *uint64 { return &m.AnonHuge }},
	{key: "ShmemPmdMapped"},
	{key: "FilePmdMapped"},
	{"Shared_Hugetlb", func(m *Mem) *uint64 { return &m.SharedHugetlb }},
	{"Private_Hugetlb", func(m *Mem) *uint64 { return &m.PrivateHugetlb }},
	{"Swap", func(m *Mem) *uint64 { return &m.Swap }},
	{key: "SwapPss"},
	{"Locked", func(m *Mem) *uint64 { return &m.Locked }},
}

const sizeAmount = 0

// The kernel prints an amount in columns:
//
//	Private_Dirty:         8 kB
//	|label          |number |unit, and a newline
const (
	labelWidth  = 16
	numberEnd   = labelWidth + 8
	amountWidth = numberEnd + len(" kB\n")
)

// label is the name of a field as it stands in its columns.
type label [labelWidth]byte

var labels = func() (t [len(amounts)]label) {
	for i, a := range amounts {
		copy(t[i][:], a.key+":"+string(bytes.Repeat([]byte{' '}, labelWidth)))
	}
	return t
}()

// amount takes in the line at the begin of text, if it is an amount in the usual columns.
// Nine of ten lines of smaps are, most of them zero, and the next one is nearly always the
// one that follows in the table. What is not, or is wrong, is left to parseField.
func (l *list) amount(text []byte) bool {
	if len(text) < amountWidth || string(text[numberEnd:amountWidth]) != " kB\n" {
		return false
	}
	i := l.findLabel(label(text))
	if i < 0 {
		return false
	}
	kib := uint64(0)
	if string(text[labelWidth:numberEnd]) != "       0" {
		var end int
		if kib, end = decimal(text[:numberEnd], spaces(text, labelWidth)); end != numberEnd {
			return false
		}
	}
	if i == sizeAmount {
		return kib == l.vma.Size()>>10
	}
	if of := amounts[i].of; of != nil {
		*of(&l.vma.Mem) = kib << 10
	}
	return true
}

// findLabel returns the place of a label in the table, or bad.
func (l *list) findLabel(want label) int {
	for range labels {
		i := l.next
		if l.next++; l.next == len(labels) {
			l.next = 0
		}
		if labels[i] == want {
			return i
		}
	}
	return bad
}
