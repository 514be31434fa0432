package mglru

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// As mm/vmscan.c of Linux 6.12 prints it (lru_gen_seq_show): a path may have spaces.
const text = `memcg     1 /
 node     0
          0      81300          0       3377 
          1      61200       1205         99 
          2      40100          7          0 
          3       1000         20         30 
 node     1
          0     500000          0          0 
memcg    47 /a b.slice
 node     0
         12        500          1          2 
memcg 18446744073709551615 /new
`

// lru_gen_full: tiers and page tables, with letters; "x" where a kind is gone.
const full = `memcg     0 
 node     0
          4      81300          0x      3377 
                     0          0x          0x          0x         11r         12e         13p
                     1          0x          0x          0x          1r          2e          3p
                              0x          0x          0x          0x
          5       1000         20         30 
                     0          5R          6T          0x          7R          8T          0x
                            100T         50Y         20F         10A
`

// The same of Linux 6.1, which has no letters where it says nothing.
const full61 = `memcg     1 /
 node     0
          0      81300          0       3377 
                     0           0           0           0           11r          12e          13p
                                0           0           0           0           0           0 
          1       1000         20         30 
                     0           5R          6T          0            7R          8T          0 
                              100L         50O         20Y         10N          1F          2A
`

func TestParse61(t *testing.T) {
	gens := parse(t, full61)[0].Nodes[0].Generations
	if len(gens) != 2 || len(gens[0].Tiers) != 1 || gens[0].Tiers[0].File[2] != (Lettered{"p", 13}) || len(gens[0].Walk) != 6 || gens[1].Walk[1] != (Lettered{"O", 50}) {
		t.Errorf("%+v", gens)
	}
}

func parse(t *testing.T, text string) []Memcg {
	t.Helper()
	list, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestParse(t *testing.T) {
	list := parse(t, text)
	if len(list) != 3 || list[1].Path != "/a b.slice" || list[1].ID != 47 || list[2].ID != 1<<64-1 || len(list[2].Nodes) != 0 {
		t.Fatalf("%+v", list)
	}
	nodes := list[0].Nodes
	if len(nodes) != 2 || nodes[1].ID != 1 || len(nodes[0].Generations) != 4 {
		t.Fatalf("%+v", nodes)
	}
	if want := (Generation{Seq: 1, Age: 61200 * time.Millisecond, Anon: 1205, File: 99}); !reflect.DeepEqual(nodes[0].Generations[1], want) {
		t.Errorf("%+v, want %+v", nodes[0].Generations[1], want)
	}
}

func TestParseFull(t *testing.T) {
	list := parse(t, full)
	gens := list[0].Nodes[0].Generations
	if len(gens) != 2 || list[0].Path != "" || !gens[0].AnonEvicted || gens[0].FileEvicted || gens[1].AnonEvicted {
		t.Fatalf("%+v", list)
	}
	want := Tier{1, []Lettered{{"x", 0}, {"x", 0}, {"x", 0}}, []Lettered{{"r", 1}, {"e", 2}, {"p", 3}}}
	if len(gens[0].Tiers) != 2 || !reflect.DeepEqual(gens[0].Tiers[1], want) {
		t.Errorf("%+v", gens[0].Tiers)
	}
	if !slices.Equal(gens[1].Walk, []Lettered{{"T", 100}, {"Y", 50}, {"F", 20}, {"A", 10}}) {
		t.Errorf("%+v", gens[1].Walk)
	}
}

func TestMalformed(t *testing.T) {
	for _, bad := range []string{"node 0\n", "memcg x /\n", "memcg 1 /\n 0 1 2 3\n", "memcg 1 /\n node -1\n", "memcg 1 /\n node 0\n 0 1 2\n",
		"memcg 1 /\n node 0\n 3 1 2 3\n 3 1 2 3\n", "memcg 1 /\n node 0\n 0 1 2 -3\n", "memcg 1 /\n node 0\n 0 1 2 3xx\n", "nonsense\n",
		"memcg 1 /\n node 0\n 0 99999999999 2 3\n", "memcg 1 /\n node 0\n 0 1 2 3\n 0 1r 2e 3p\n", "memcg 1 /\n node 0\n 1T 2Y\n"} {
		if list, err := Parse(strings.NewReader(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, list, err)
		}
	}
	if list := parse(t, ""); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(text)
	f.Add(full)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := Parse(strings.NewReader(text))
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Error(err)
		}
		for _, m := range list {
			for _, n := range m.Nodes {
				var least, most uint64
				last := time.Duration(0)
				for _, i := range n.Idle() {
					if i.From < last || i.To < i.From {
						t.Errorf("%+v", n.Idle())
					}
					last = i.From
				}
				if least, most = n.Used(time.Second); least > most {
					t.Errorf("%d, %d", least, most)
				}
			}
		}
	})
}

// A page of a generation has been idle as long as the next younger one is old, at least.
func TestIdle(t *testing.T) {
	node := parse(t, text)[0].Nodes[0]
	idle := node.Idle()
	if want := (Idle{From: time.Second, To: 40100 * time.Millisecond, Anon: 7}); len(idle) != 4 || idle[1] != want {
		t.Errorf("%+v", idle)
	}
	if idle[0].From != 0 || idle[3].To != 81300*time.Millisecond {
		t.Errorf("%+v", idle)
	}
	for _, tt := range []struct {
		within      time.Duration
		least, most uint64
	}{{0, 0, 50}, {time.Second, 50, 57}, {time.Minute, 57, 57 + 1304}, {time.Hour, 57 + 1304 + 3377, 57 + 1304 + 3377}} {
		if least, most := node.Used(tt.within); least != tt.least || most != tt.most {
			t.Errorf("within %v: %d to %d, want %d to %d", tt.within, least, most, tt.least, tt.most)
		}
	}
}

func tree(t *testing.T, files map[string]string) FS {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return At(root)
}

func TestSettings(t *testing.T) {
	f := tree(t, map[string]string{"kernel/mm/lru_gen/enabled": "0x0007\n", "kernel/mm/lru_gen/min_ttl_ms": "1000\n"})
	s, err := f.Settings()
	if err != nil || s.Enabled != Main|LeafBatch|NonLeaf || !s.Enabled.Has(Main) || s.MinTTL != time.Second {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := tree(t, map[string]string{"kernel/mm/lru_gen/enabled": "y\n"}).Settings(); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	if _, err := At(t.TempDir()).Settings(); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
	if _, err := At(t.TempDir()).Generations(false); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}

func TestCommands(t *testing.T) {
	f := tree(t, map[string]string{"kernel/debug/lru_gen": ""})
	evict, err := Evict(3, 0, 5, 60, 100)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Evict(3, 1, 5, -1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(Age(3, 0, 7, AgeOptions{}), Age(3, 0, 8, AgeOptions{Swap: true}), Age(3, 0, 9, AgeOptions{Force: true}), evict, plain); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.path("kernel", "debug", "lru_gen"))
	if want := "+ 3 0 7\n+ 3 0 8 1\n+ 3 0 9 0 1\n- 3 0 5 60 100\n- 3 1 5\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, swappiness := range []int{-2, 201} {
		if c, err := Evict(1, 0, 1, swappiness, 0); err == nil {
			t.Errorf("swappiness %d: %v", swappiness, c)
		}
	}
	if c, err := Evict(1, 0, 1, -1, 5); err == nil {
		t.Errorf("a number of pages without swappiness: %v", c)
	}
}
