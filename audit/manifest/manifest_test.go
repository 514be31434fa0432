package manifest

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

var program = Program{Exe: "/usr/sbin/brake", SHA256: strings.Repeat("0a", 32)}

func file(start uint64, name string, perm vma.Perm, offset, size uint64) vma.VMA {
	return vma.VMA{Start: start, End: start + size, Perm: perm, Offset: offset, Inode: 7, Name: []byte(name)}
}

func anonymous(start uint64, name string, perm vma.Perm, size uint64, flags vma.Flags) vma.VMA {
	return vma.VMA{Start: start, End: start + size, Perm: perm, Name: []byte(name), Flags: flags}
}

const rw = vma.PermRead | vma.PermWrite

func space() []vma.VMA {
	return []vma.VMA{
		file(0x1000, "/usr/sbin/brake", vma.PermRead|vma.PermExec, 0, 0x1000),
		file(0x2000, "/lib/a*b[1]\n.so", vma.PermRead, 0x1000, 0x1000),
		anonymous(0x3000, "[heap]", rw, 0x4000, 0),
		anonymous(0x8000, "", rw, 0x1000, vma.FlagLocked|vma.FlagAccount),
		anonymous(0x9000, "[stack]", rw, 0x1000, vma.FlagGrowsDown),
	}
}

// made makes a manifest, and takes it through its text.
func made(t *testing.T, slack float64, looks ...[]vma.VMA) *Manifest {
	t.Helper()
	o := NewObserver(program)
	for _, look := range looks {
		for i := range look {
			o.Add(&look[i])
		}
		o.EndLook()
	}
	var text bytes.Buffer
	if err := o.Manifest(slack).Write(&text, "made by a test"); err != nil {
		t.Fatal(err)
	}
	m, err := Load(&text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.Bytes())
	}
	return m
}

func differences(m *Manifest, p Program, vmas []vma.VMA) []string {
	c := m.Compare(p)
	for i := range vmas {
		c.Add(&vmas[i])
	}
	c.End()
	return c.Differences
}

func TestSameSpace(t *testing.T) {
	moved := space()
	for i := range moved { // another start, other addresses, other advice
		moved[i].Start += 0x7f0000000000
		moved[i].End += 0x7f0000000000
		moved[i].Flags |= vma.FlagHugepage
	}
	if d := differences(made(t, 1, space()), program, moved); len(d) != 0 {
		t.Errorf("differences in the same space: %q", d)
	}
}

func TestDifferences(t *testing.T) {
	m := made(t, 1, space())
	change := func(f func(s []vma.VMA) []vma.VMA) []vma.VMA { return f(space()) }
	tests := []struct {
		name string
		vmas []vma.VMA
		want string
	}{
		{"one more file", append(space(), file(0xa000, "/lib/evil.so", vma.PermRead|vma.PermExec, 0, 0x1000)), "unexpected: a000-b000 r-xp 00000000 0:0 7 /lib/evil.so"},
		{"name outside the pattern", append(space(), file(0xa000, "/lib/aXb1\n.so", vma.PermRead, 0x1000, 0x1000)), "unexpected: "},
		{"now executable", change(func(s []vma.VMA) []vma.VMA { s[2].Perm |= vma.PermExec; return s }), "unexpected: 3000-7000 rwxp"},
		{"no longer locked", change(func(s []vma.VMA) []vma.VMA { s[3].Flags = vma.FlagAccount; return s }), "unexpected: 8000-9000 rw-p"},
		{"other offset", change(func(s []vma.VMA) []vma.VMA { s[1].Offset = 0; return s }), "unexpected: 2000-3000 r--p"},
		{"heap grown", change(func(s []vma.VMA) []vma.VMA { s[2].End += 0x1000; return s }), "too large: 20480 bytes [heap] rw-p, the manifest allows 16384"},
		{"file gone", space()[1:], "missing: /usr/sbin/brake r-xp at offset 0x0"},
		{"mapped twice", append(space(), file(0xa000, "/usr/sbin/brake", vma.PermRead|vma.PermExec, 0, 0x1000)), "too many: 2 VMAs /usr/sbin/brake r-xp at offset 0x0, the manifest allows 1"},
	}
	for _, tt := range tests {
		d := differences(m, program, tt.vmas)
		if !slices.ContainsFunc(d, func(s string) bool { return strings.HasPrefix(s, tt.want) }) {
			t.Errorf("%s: %q, want %q", tt.name, d, tt.want)
		}
	}
	for _, other := range []Program{{Exe: "/usr/sbin/other", SHA256: program.SHA256}, {Exe: program.Exe, SHA256: strings.Repeat("cd", 32)}, {Exe: program.Exe}} {
		if d := differences(m, other, space()); len(d) != 1 {
			t.Errorf("%+v: %q", other, d)
		}
	}
}

// Room for growth is for what has no file; what was not in every look is not required.
func TestSlackAndLooks(t *testing.T) {
	short := space()[:4]
	m := made(t, 2, space(), short)
	grown := short
	grown[2].End = grown[2].Start + 0x8000
	if d := differences(m, program, grown); len(d) != 0 {
		t.Errorf("%q", d)
	}
	grown[2].End += 0x1000
	if d := differences(m, program, grown); len(d) != 1 || !strings.HasPrefix(d[0], "too large") {
		t.Errorf("%q", d)
	}
}

func TestLoadRefuses(t *testing.T) {
	head := "schema: safevma.manifest/v1\nprogram: {exe: /x}\nvmas:\n"
	for want, text := range map[string]string{
		"schema is":       "schema: other/v1\n",
		"program.exe":     "schema: safevma.manifest/v1\nvmas: [{path: /x, perms: r--p}]\n",
		"vmas is empty":   "schema: safevma.manifest/v1\nprogram: {exe: /x}\n",
		"line 4":          head + "  - {path: /x, perms: r--p, color: red}\n",
		"perms":           head + "  - {path: /x, perms: rx}\n",
		"either path":     head + "  - {perms: r--p}\n",
		"path or name":    head + "  - {path: /x, name: y, perms: r--p}\n",
		"flag \"rd\"":     head + "  - {path: /x, perms: r--p, flags: [rd]}\n",
		"syntax error":    head + "  - {path: '[', perms: r--p}\n",
		"offset and size": head + "  - {name: '', perms: r--p, offset: 1}\n",
		"max_bytes":       head + "  - {name: '', perms: r--p, size: 1}\n",
		"give it as name": head + "  - {path: '/memfd:ring (deleted)', perms: rw-s}\n",
		"64 hexadecimal":  "schema: safevma.manifest/v1\nprogram: {exe: /x, sha256: 5f0c}\nvmas: [{path: /x, perms: r--p}]\n",
		"it is empty":     "",
		"baseline PID":    "# a comment\n\n  # alone\n",
		"negative":        head + "  - {path: /x, perms: r--p, max_count: -1}\n",
		"entry 2":         head + "  - {path: /x, perms: r--p}\n  - {path: /x, perms: '????'}\n",
	} {
		if _, err := Load(strings.NewReader(text)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// The digest is one however it is written.
func TestDigest(t *testing.T) {
	upper := strings.ToUpper(program.SHA256)
	m, err := Load(strings.NewReader("schema: safevma.manifest/v1\nprogram: {exe: " + program.Exe + ", sha256: " + upper + "}\nvmas: [{path: /x, perms: r--p}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Compare(program).Differences; len(d) != 0 {
		t.Errorf("%q", d)
	}
}

// Shared memory that the kernel keeps as files of its own has room to grow, as other
// memory has; a file that only has such a name in part is a file.
func TestKernelMemory(t *testing.T) {
	names := []string{"/dev/zero (deleted)", "/memfd:ring (deleted)", "/SYSV0000002a (deleted)", "/secretmem (deleted)", "/anon_hugepage (deleted)"}
	for _, name := range names {
		v := file(0x1000, name, rw|vma.PermShared, 0, 0x1000)
		v.Dev.Minor = 1
		m := made(t, 2, []vma.VMA{v})
		v.End += 0x1000
		v.Offset = 0x3000
		if d := differences(m, program, []vma.VMA{v}); len(d) != 0 {
			t.Errorf("%s grew within its room: %q", name, d)
		}
		v.End += 0x1000
		if d := differences(m, program, []vma.VMA{v}); len(d) != 1 || !strings.HasPrefix(d[0], "too large") {
			t.Errorf("%s outgrew its room: %q", name, d)
		}
		if d := differences(m, program, nil); len(d) != 1 || !strings.HasPrefix(d[0], "missing") {
			t.Errorf("%s is not there: %q", name, d)
		}
	}
	for _, name := range []string{"/dev/zero", "/memfd:ring", "/tmp/SYSV1 (deleted)", "/secretmem2 (deleted)"} {
		v := file(0x1000, name, rw, 0, 0x1000)
		m := made(t, 2, []vma.VMA{v})
		v.End += 0x1000
		if d := differences(m, program, []vma.VMA{v}); len(d) != 2 {
			t.Errorf("%s of another size: %q", name, d)
		}
	}
}

// Some files have no inode number, as the first segment of System V has none; what has a
// device is a file all the same, and no anonymous memory.
func TestInodeZero(t *testing.T) {
	v := file(0x1000, "/x", rw, 0, 0x1000)
	v.Inode, v.Dev.Minor = 0, 5
	if m := made(t, 1, []vma.VMA{v}); m.VMAs[0].Path != "/x" {
		t.Errorf("%+v", m.VMAs[0])
	}
}

// The manifest of a real process fits it.
func TestOwnProcess(t *testing.T) {
	p, err := process.Default().Open(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var r vma.Reader
	var vmas []vma.VMA
	if err := r.Smaps(p, func(v *vma.VMA) error {
		vmas = append(vmas, v.Clone())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := differences(made(t, 1, vmas), program, vmas); len(d) != 0 {
		t.Errorf("%q", d)
	}
}

func FuzzLoad(f *testing.F) {
	o := NewObserver(program)
	for _, v := range space() {
		o.Add(&v)
	}
	o.EndLook()
	var text bytes.Buffer
	if err := o.Manifest(2).Write(&text, ""); err != nil {
		f.Fatal(err)
	}
	f.Add(text.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Load(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("error %v is not ErrInvalid", err)
			}
			return
		}
		differences(m, program, space())
	})
}
