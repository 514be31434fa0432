// Package compare runs contenders in turn and makes tables of what they took: A B C, A B C,
// so that other load on the machine hits all alike. What counts is the median over the rounds
// of the ratio within one round.
package compare

import "time"

// Place is what kind of file system a table is about.
type Place string

// The places.
const (
	Memory Place = "tmpfs" // stands for DAX: the same instructions, without the device
	Disk   Place = "disk"  // an ordinary file system on a device
	NoFile Place = ""      // what is compared has to do with no file
)

// Clock says which time is compared.
type Clock string

// The clocks. CPU time is what other load disturbs least; it says nothing about waiting.
const (
	CPU  Clock = "CPU"
	Wall Clock = "wall"
)

// Table is one table of the page.
type Table struct {
	ID    string // of the markers on the page, and for choosing it
	Title string
	About string // what is done, and what to know when reading it
	Place Place
	Clock Clock
	Unit  time.Duration // that times are shown in
	Match []Match
}

// Match is contenders that run in turn, and do the same works. The first one is what the
// others are compared with.
type Match struct {
	Works      []Work
	Contenders []Contender
}

// Work is one kind of operation, by the name of its measure. It is compared with the same
// measure of the first contender, or with another one where Against says so.
type Work struct{ Measure, Title, Against string }

// Contender is a program. It is called as PROGRAM WORK N OPS FOLDER and prints lines as
// package measure has them.
type Contender struct {
	Name    string
	Program string // a program in C; "" is this one
	Work    string
	N       int // what it says depends on the work: lines of a transaction, writers, ...
	Ops     int
	Goals   map[string]float64 // by measure: how many times slower than the first it is at least
}
