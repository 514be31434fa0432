package slab

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree makes a sysfs and a procfs with the given files; "a -> b" is a link.
func tree(t *testing.T, files map[string]string) FS {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return At(filepath.Join(root, "sys"), filepath.Join(root, "proc"))
}

// cache is the files of a cache as Linux 6.18 writes them.
func cache(files map[string]string, id string) {
	for name, text := range map[string]string{"object_size": "184\n", "slab_size": "192\n", "align": "64\n", "objs_per_slab": "21\n", "order": "0\n",
		"usersize": "0\n", "sheaf_capacity": "0\n", "ctor": "", "red_zone": "1\n", "destroy_by_rcu": "0\n", "objects": "42 N0=40 N1=2\n", "total_objects": "63 N0=63\n",
		"slabs": "3 N0=3\n", "partial": "0\n", "cpu_slabs": "2 N0=2\n", "slabs_cpu_partial": "31(3) C0=21(2) C11=10(1)\n"} {
		files["sys/kernel/slab/"+id+"/"+name] = text
	}
}

func TestMerged(t *testing.T) {
	files := map[string]string{
		"sys/kernel/slab/key_jar":   "-> :A-0000192",
		"sys/kernel/slab/biovec-16": "-> :A-0000192",
		"sys/kernel/slab/new":       "-> :A-0000192",
		"sys/kernel/slab/alone":     "-> :0000064",
	}
	cache(files, ":A-0000192")
	cache(files, ":0000064")
	cache(files, "kmalloc-64")
	list, err := tree(t, files).List()
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	shared := list[1]
	if !slices.Equal(shared.Names, []string{"biovec-16", "key_jar", "new"}) || !shared.Merged() {
		t.Errorf("names: %q", shared.Names)
	}
	if want := []Domain{Block, Identity, Unsorted}; !slices.Equal(shared.Domains(), want) || !shared.Crosses() || !shared.Guarded() {
		t.Errorf("domains: %v", shared.Domains())
	}
	if c := list[0]; c.Merged() || c.Crosses() || c.Names[0] != "alone" {
		t.Errorf("one name leads to it: %+v", c)
	}
	if c := list[2]; !slices.Equal(c.Names, []string{"kmalloc-64"}) {
		t.Errorf("its own name: %+v", c)
	}
	d := shared.Detail
	if d.ObjectSize != 184 || d.Objects.Nodes[1] != 2 || !d.Flags.RedZone || d.Flags.Sanity || *d.UserSize != 0 {
		t.Errorf("detail: %+v", d)
	}
	if want := []CPUList{{0, 21, 2}, {11, 10, 1}}; !slices.Equal(d.CPUPartial, want) {
		t.Errorf("lists of CPUs: %v", d.CPUPartial)
	}
	if bytes, ok := d.Bytes(4096); !ok || bytes != 3*4096 {
		t.Errorf("%d bytes", bytes)
	}
}

// A name that is not known can be of any domain: it makes no crossing.
func TestUnsortedCrossesNothing(t *testing.T) {
	c := Cache{Names: []string{"key_jar", "something new"}}
	if c.Crosses() || c.Guarded() {
		t.Error("crosses")
	}
	c.Names = []string{"biovec-16", "skbuff_head"}
	if !c.Crosses() || c.Guarded() {
		t.Error("block and network: crosses, nothing guarded")
	}
}

func TestDomainOf(t *testing.T) {
	for name, want := range map[string]Domain{"pid": Identity, "pid_3": Identity, "pidfs_attr_cache": Identity, "cred": Identity, "cred_jar": Identity, "cred_other": Unsorted,
		"task_exec_state": Process, "zswap_entry": Memory, "dio": Block, "dio_other": Unsorted,
		"bio": Block, "bio-256": Block, "bio_post_read_ctx": FileSystem, "biovec-max": Block, "": Unsorted, "kmalloc-cg-64": General,
		"mem_cgroup_per_node": Control, "vm_area_struct": Memory, "io_kiocb": Descriptor, "eventpoll_epi": Descriptor} {
		if got := DomainOf(name); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
}

// A name that is not known is counted, since its cache may cross domains.
func TestUnsorted(t *testing.T) {
	r := Report{Caches: []Cache{{ID: ":1", Names: []string{"new", "pid"}}, {ID: "alone", Names: []string{"alone"}}, {ID: ":2", Names: []string{"bio", "cred"}}}}
	if got := r.Totals(); got.Unsorted != 1 || got.Crossing != 1 || got.Guarded != 1 {
		t.Errorf("%+v", got)
	}
}

func TestPrefixesAreOfOneDomain(t *testing.T) {
	seen := map[string]Domain{}
	for _, e := range table {
		if other, twice := seen[e.prefix]; twice {
			t.Errorf("%s is of %s and of %s", e.prefix, other, e.domain)
		}
		seen[e.prefix] = e.domain
	}
}

func TestMalformed(t *testing.T) {
	for file, text := range map[string]string{"object_size": "x", "order": "99", "objects": "1 N=3", "total_objects": "", "slabs_cpu_partial": "1(2", "slab_size": "-1"} {
		files := map[string]string{}
		cache(files, "c")
		files["sys/kernel/slab/c/"+file] = text + "\n"
		list, err := tree(t, files).List()
		if err != nil || len(list) != 1 || !errors.Is(list[0].Hidden, ErrMalformed) || list[0].Detail != nil {
			t.Errorf("%s %q: %+v, %v", file, text, list, err)
		}
	}
	if _, err := tree(t, map[string]string{"sys/kernel/slab/a": "-> ../../x/.."}).List(); !errors.Is(err, ErrMalformed) {
		t.Error("a link that leads nowhere:", err)
	}
}

// What a newer or smaller kernel lacks is nil, and no zero.
func TestMissingFiles(t *testing.T) {
	files := map[string]string{}
	cache(files, "c")
	for _, name := range []string{"objects", "slabs", "usersize", "slabs_cpu_partial", "sheaf_capacity", "cpu_slabs"} {
		delete(files, "sys/kernel/slab/c/"+name)
	}
	list, err := tree(t, files).List()
	if err != nil || list[0].Detail == nil {
		t.Fatal(list, err)
	}
	d := list[0].Detail
	if d.Objects != nil || d.Slabs != nil || d.UserSize != nil || d.CPUPartial != nil || d.SheafCapacity != nil || d.CPUSlabs != nil || d.Partial == nil {
		t.Errorf("%+v", d)
	}
	if _, ok := d.Bytes(4096); ok {
		t.Error("bytes of slabs that are not counted")
	}
	if _, err := At(t.TempDir(), t.TempDir()).List(); !errors.Is(err, ErrAbsent) {
		t.Error(err)
	}
}

const slabinfo = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor> : slabdata <active_slabs> <num_slabs> <sharedavail>
ext4_groupinfo_1k     50     52    160   25    1 : tunables    0    0    0 : slabdata      2      3      0
two words      0      0    312   13    2 : tunables    0    0    0 : slabdata      0      0      0
`

func TestInfo(t *testing.T) {
	list, err := tree(t, map[string]string{"proc/slabinfo": slabinfo}).Info()
	want := []Info{{"ext4_groupinfo_1k", 50, 52, 160, 25, 1, 3}, {"two words", 0, 0, 312, 13, 2, 0}}
	if err != nil || !slices.Equal(list, want) {
		t.Fatal(list, err)
	}
	for _, text := range []string{"", "slabinfo - version: 1.0\n", slabinfo + "x 1 2\n", strings.Replace(slabinfo, "312", "-1", 1)} {
		if _, err := parseInfo(strings.NewReader(text)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzInfo(f *testing.F) {
	f.Add(slabinfo)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := parseInfo(strings.NewReader(text)); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}

func FuzzLists(f *testing.F) {
	f.Add("160(5) C0=96(3) C1=64(2)")
	f.Add("2182 N0=2182")
	f.Fuzz(func(t *testing.T, text string) {
		parseCPULists(text)
		if c, err := parseCount(text); err == nil && c.Sum >= 1<<48 {
			t.Error("out of range")
		}
	})
}
