package feature

import (
	"slices"
	"testing"
)

const mountinfo = `21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 259:0 / /lab/nvdimm0 rw,relatime - ext4 /dev/pmem0 rw,stripe=512,dax=always
31 21 259:1 / /lab/with\040space rw shared:1 - xfs /dev/vdb rw,dax=inode
32 21 259:2 / /lab/raw rw - ext4 /dev/pmem1 rw
33 21 0:5 / /never rw - ext4 /dev/vdc rw,dax=never
34 21 0:6 / /bare rw - tmpfs tmpfs
`

func TestParseDAXMounts(t *testing.T) {
	got, err := parseDAXMounts(mountinfo)
	if want := []string{"/lab/nvdimm0", "/lab/with space", "/lab/raw"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, bad := range []string{"1 2 3", "1 2 3 / /p rw ext4 /dev/pmem0 rw\n", "1 2 - ext4 /dev/pmem0\n", "1 2 3 / /p rw - ext4\n"} {
		if got, err := parseDAXMounts(bad); err == nil {
			t.Errorf("%q: %q, want an error", bad, got)
		}
	}
}

const lruGenText = `memcg     7 /system
 node     0
          9       8136          0           0
memcg     1 /
 node     0
          0       8136          0           0
          1       8136       3678           0
 node     1
          5       8136          0           0
memcg     8 /other
 node     0
          2       8136          0           0
`

func TestParseLRUGen(t *testing.T) {
	if got, err := parseLRUGen(lruGenText); err != nil || got != (youngest{cgroup: 1, node: 0, generation: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := parseLRUGen("memcg     0\n node     0\n          3  1 2 3\n"); err != nil || got.generation != 3 {
		t.Errorf("without a memory controller: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "memcg\n", "memcg x /\n", "memcg 1 /\n node y\n", "memcg 1 /\n node 0\n z\n", "memcg 7 /system\n node 0\n 1 2 3 4\n"} {
		if got, err := parseLRUGen(bad); err == nil {
			t.Errorf("%q: %+v, want an error", bad, got)
		}
	}
}

func TestParseKFENCE(t *testing.T) {
	const stats = "enabled: 1\ncurrently allocated:         16\ntotal allocations:           69\ntotal frees: 53\n"
	if got, err := parseKFENCE(stats); err != nil || got != 69 {
		t.Errorf("%d, %v", got, err)
	}
	for _, bad := range []string{"", "enabled: 1\n", "total allocations: many\n"} {
		if got, err := parseKFENCE(bad); err == nil {
			t.Errorf("%q: %d, want an error", bad, got)
		}
	}
}

func TestParseNodes(t *testing.T) {
	for list, want := range map[string][]int{"0": {0}, "0-1": {0, 1}, "0,2-3": {0, 2, 3}} {
		if got, err := parseNodes(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", list, got, err, want)
		}
	}
	for _, bad := range []string{"", "a", "1-", "-1", "0,,1"} {
		if got, err := parseNodes(bad); err == nil {
			t.Errorf("%q: %v, want an error", bad, got)
		}
	}
}

func TestCounted(t *testing.T) {
	const events = "low 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n"
	for event, want := range map[string]bool{"oom_kill": true, "oom_group_kill": false, "oom": true, "none": false} {
		if got := counted(events, event); got != want {
			t.Errorf("%s: %t", event, got)
		}
	}
}

// Whatever a kernel says, no parser fails otherwise than by an error.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{mountinfo, lruGenText, "total allocations: 69\n", "0-1,3", "oom_kill 1\n", "6.12.95+deb12-amd64"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if points, err := parseDAXMounts(text); err == nil && slices.Contains(points, "") {
			t.Error("a mount point without a name")
		}
		parseLRUGen(text)
		parseKFENCE(text)
		counted(text, "oom_kill")
		if nodes, err := parseNodes(text); err == nil && (len(nodes) > 64*(1+len(text))) {
			t.Errorf("%d nodes", len(nodes))
		}
		parseRelease(text)
	})
}
