package mglru

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Memcg is a memory cgroup with its generations on each node.
type Memcg struct {
	// ID is the kernel's number for it, which the commands take: up to Linux 6.18 one below
	// 65536 that may be used again for another group later.
	ID uint64 `json:"id"`
	// Path is within the hierarchy; empty for the root, and where there are no cgroups.
	Path  string `json:"path"`
	Nodes []Node `json:"nodes"`
}

// Node is the generations on one NUMA node, the oldest first.
type Node struct {
	ID          int          `json:"id"`
	Generations []Generation `json:"generations"`
}

// Generation is one of them. Sizes are in pages.
type Generation struct {
	Seq uint64 `json:"seq"`
	// Age is how long ago it was born.
	Age  time.Duration `json:"-"`
	Anon uint64        `json:"anon"`
	File uint64        `json:"file"`
	// AnonEvicted and FileEvicted: the pages of that kind and age are gone; what is counted
	// is late (lru_gen_full alone).
	AnonEvicted bool `json:"anon_evicted,omitempty"`
	FileEvicted bool `json:"file_evicted,omitempty"`
	// Tiers are pages by how often they were read through descriptors, and Walk what was
	// seen in page tables (lru_gen_full alone).
	Tiers []Tier     `json:"tiers,omitempty"`
	Walk  []Lettered `json:"walk,omitempty"`
}

// Tier is one line of a generation. The letters say what is counted: R refaulted on
// average, T in all; r refaulted, e evicted, p protected; x, or no letter, nothing.
type Tier struct {
	ID   int        `json:"id"`
	Anon []Lettered `json:"anon"`
	File []Lettered `json:"file"`
}

// Lettered is a number with the letter that the kernel puts behind it.
type Lettered struct {
	Letter string `json:"letter"`
	Count  uint64 `json:"count"`
}

// Generations reads lru_gen from debugfs, or lru_gen_full. That takes root. Groups come
// and go while it is read.
func (f FS) Generations(full bool) ([]Memcg, error) {
	name := "lru_gen"
	if full {
		name = "lru_gen_full"
	}
	file, err := os.Open(f.path("kernel", "debug", name))
	if err != nil {
		return nil, classify(err)
	}
	defer file.Close()
	list, err := Parse(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Name(), err)
	}
	return list, nil
}

// lineMost is more than the longest path of a cgroup.
const lineMost = 64 << 10

// Parse parses the text of lru_gen or lru_gen_full:
//
//	memcg    12 /user.slice
//	 node     0
//	          3      81300       1205       3377
//
// Errors wrap [ErrMalformed].
func Parse(r io.Reader) ([]Memcg, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, lineMost)
	p := parser{list: []Memcg{}}
	for scan.Scan() {
		if err := p.line(scan.Text()); err != nil {
			return nil, err
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return p.list, nil
}

// tierColumns is where the number of a tier ends; what begins behind it is of page tables.
// In Linux 6.1 neither has letters where it says nothing, and could be taken for the other.
const tierColumns = 22

type parser struct{ list []Memcg }

func (p *parser) line(line string) error {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil
	}
	var ok bool
	switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
	case words[0] == "memcg" && indent == 0:
		ok = p.memcg(line)
	case words[0] == "node" && len(words) == 2:
		ok = p.node(words[1])
	case indent > tierColumns:
		ok = p.walk(words)
	case len(words) == 4 && allDigits(words[:2]):
		ok = p.generation(words)
	case allDigits(words[:1]) && len(words) > 1:
		ok = p.tier(words)
	default:
		ok = p.walk(words)
	}
	if !ok {
		return fmt.Errorf("%w: %q", ErrMalformed, line)
	}
	return nil
}

// memcg: the path is the rest of the line, whatever is in it.
func (p *parser) memcg(line string) bool {
	rest := strings.TrimLeft(strings.TrimPrefix(line, "memcg"), " ")
	number, path, _ := strings.Cut(rest, " ")
	id, err := strconv.ParseUint(number, 10, 64)
	p.list = append(p.list, Memcg{ID: id, Path: path, Nodes: []Node{}})
	return err == nil
}

func (p *parser) node(number string) bool {
	id, err := strconv.ParseUint(number, 10, 16)
	if err != nil || len(p.list) == 0 {
		return false
	}
	last := &p.list[len(p.list)-1]
	last.Nodes = append(last.Nodes, Node{ID: int(id), Generations: []Generation{}})
	return true
}

// at returns the node in hand.
func (p *parser) at() *Node {
	if len(p.list) == 0 {
		return nil
	}
	nodes := p.list[len(p.list)-1].Nodes
	if len(nodes) == 0 {
		return nil
	}
	return &nodes[len(nodes)-1]
}

func (p *parser) generation(words []string) bool {
	node := p.at()
	if node == nil {
		return false
	}
	seq, err1 := strconv.ParseUint(words[0], 10, 64)
	age, err2 := strconv.ParseUint(words[1], 10, 32) // the kernel has an unsigned int
	anon, ok1 := lettered(words[2])
	file, ok2 := lettered(words[3])
	if err1 != nil || err2 != nil || !ok1 || !ok2 {
		return false
	}
	if n := len(node.Generations); n > 0 && node.Generations[n-1].Seq >= seq {
		return false
	}
	node.Generations = append(node.Generations, Generation{Seq: seq, Age: time.Duration(age) * time.Millisecond, Anon: anon.Count, File: file.Count,
		AnonEvicted: anon.Letter == "x", FileEvicted: file.Letter == "x"})
	return true
}

// last returns the generation in hand.
func (p *parser) last() *Generation {
	node := p.at()
	if node == nil || len(node.Generations) == 0 {
		return nil
	}
	return &node.Generations[len(node.Generations)-1]
}

func (p *parser) tier(words []string) bool {
	g := p.last()
	id, err := strconv.ParseUint(words[0], 10, 8)
	values, ok := allLettered(words[1:])
	if g == nil || err != nil || !ok || len(values)%2 != 0 {
		return false
	}
	half := len(values) / 2
	g.Tiers = append(g.Tiers, Tier{int(id), values[:half], values[half:]})
	return true
}

func (p *parser) walk(words []string) bool {
	g := p.last()
	values, ok := allLettered(words)
	if g == nil || !ok {
		return false
	}
	g.Walk = append(g.Walk, values...)
	return true
}

func allDigits(words []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool { return strings.Trim(w, "0123456789") != "" })
}

// lettered parses "1205", or "1205x".
func lettered(word string) (Lettered, bool) {
	number := strings.TrimRight(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseUint(number, 10, 64)
	letter := word[len(number):]
	return Lettered{letter, n}, err == nil && len(letter) <= 1
}

func allLettered(words []string) ([]Lettered, bool) {
	all := make([]Lettered, 0, len(words))
	for _, word := range words {
		one, ok := lettered(word)
		if !ok {
			return nil, false
		}
		all = append(all, one)
	}
	return all, true
}

// Idle is how many pages have been idle for how long.
type Idle struct {
	// From and To: at least From, at most To.
	From time.Duration
	To   time.Duration
	Anon uint64 // pages
	File uint64
}

// Idle returns the working set as a histogram, the pages that were used last first.
func (n *Node) Idle() []Idle {
	list := []Idle{}
	var younger time.Duration
	for _, g := range slices.Backward(n.Generations) {
		list = append(list, Idle{From: younger, To: max(g.Age, younger), Anon: g.Anon, File: g.File})
		younger = max(g.Age, younger)
	}
	return list
}

// Used returns how many pages were used within a time, at least and at most: a generation
// that is older than that may hold some.
func (n *Node) Used(within time.Duration) (least, most uint64) {
	for _, i := range n.Idle() {
		if i.To <= within {
			least += i.Anon + i.File
		}
		if i.From <= within {
			most += i.Anon + i.File
		}
	}
	return least, most
}
