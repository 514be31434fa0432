package memfd

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func number(n int) *int { return &n }

// refusing is what the kernel does with the value 2.
func refusing() Policy {
	return Policy{
		Namespace:  1,
		Declared:   number(2),
		Floor:      number(2),
		Default:    Attempt{Call: "memfd_create(0)", Mode: 0o666, Seals: SealExec},
		Exec:       Attempt{Call: "memfd_create(MFD_EXEC)", Errno: "EACCES"},
		NoexecSeal: Attempt{Call: "memfd_create(MFD_NOEXEC_SEAL)", Mode: 0o666, Seals: SealExec},
		ChmodErrno: "EPERM",
	}
}

func TestExecutableRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change         func(*Policy)
		refused, known bool
	}{
		"value 2":                             {func(*Policy) {}, true, true},
		"value 2, flags 0 refused":            {func(p *Policy) { p.Default = Attempt{Call: "c", Errno: "EACCES"} }, true, true},
		"value 1":                             {func(p *Policy) { p.Declared = number(1); p.Exec = Attempt{Call: "c", Mode: 0o777} }, false, true},
		"value 2, but MFD_EXEC works":         {func(p *Policy) { p.Exec = Attempt{Call: "c", Mode: 0o777} }, false, true},
		"value 2, but flags 0 are executable": {func(p *Policy) { p.Default.Mode = 0o777 }, false, true},
		"executable, though no control":       {func(p *Policy) { p.Default.Mode = 0o777; p.NoexecSeal.Errno = "EINVAL" }, false, true},
		"control refused":                     {func(p *Policy) { p.NoexecSeal.Errno = "EACCES" }, false, false},
		"control executable":                  {func(p *Policy) { p.NoexecSeal.Mode = 0o777 }, false, false},
		"control unsealed":                    {func(p *Policy) { p.NoexecSeal.Seals = 0 }, false, false},
		"chmod of the control allowed":        {func(p *Policy) { p.ChmodErrno = "" }, false, false},
		"another errno":                       {func(p *Policy) { p.Exec.Errno = "EMFILE" }, false, false},
		"flags 0 failed otherwise":            {func(p *Policy) { p.Default.Errno = "ENOMEM" }, false, false},
		"not sealed by default":               {func(p *Policy) { p.Default.Seals = 0 }, false, false},
		"not declared":                        {func(p *Policy) { p.Declared = number(0) }, false, false},
		"declared value unknown":              {func(p *Policy) { p.Declared = nil }, false, false},
		"nothing tried":                       {func(p *Policy) { *p = Policy{Declared: number(2)} }, false, false},
	} {
		p := refusing()
		c.change(&p)
		if refused, known := p.ExecutableRefused(); refused != c.refused || known != c.known {
			t.Errorf("%s: refused %v, known %v; want %v, %v", name, refused, known, c.refused, c.known)
		}
	}
}

func TestLowerable(t *testing.T) {
	for _, c := range []struct {
		declared, floor *int
		known           bool
	}{
		{number(2), number(2), true}, {number(1), number(2), true}, {number(0), nil, true},
		{number(2), number(1), false}, {number(2), nil, false}, {nil, number(2), false},
	} {
		p := Policy{Declared: c.declared, Floor: c.floor}
		if lowerable, known := p.Lowerable(); lowerable || known != c.known {
			t.Errorf("%v: lowerable %v, known %v; want false, %v", p, lowerable, known, c.known)
		}
	}
}

// The raw lines are evidence: each outcome is in them.
func TestRawPolicy(t *testing.T) {
	p := refusing()
	p.Floor, p.FloorError = nil, "permission denied"
	want := []string{
		"vm.memfd_noexec = 2",
		"memfd_create(0): mode 0666, seals exec",
		"memfd_create(MFD_EXEC): EACCES",
		"memfd_create(MFD_NOEXEC_SEAL): mode 0666, seals exec",
		"fchmod(0777) of that: EPERM",
		"vm.memfd_noexec of the namespace above = unknown: permission denied",
	}
	if got := p.Raw(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What a helper writes is read back whole.
func TestServePolicy(t *testing.T) {
	noexec, err := os.Open(NoexecPath)
	if err != nil {
		t.Skip(err)
	}
	defer noexec.Close()
	var b bytes.Buffer
	if err := servePolicy(noexec, &b); err != nil {
		t.Fatal(err)
	}
	got, err := decodePolicy(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if want := PolicyProbe(noexec); !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, want %+v", got, want)
	}
	if got.Declared == nil || got.Namespace == 0 || !got.Control() {
		t.Errorf("nothing observed: %+v", got)
	}
}

// Without the file the value is unknown, and the effect is still observed.
func TestProbeWithoutSetting(t *testing.T) {
	if _, err := os.Stat(NoexecPath); err != nil {
		t.Skipf("the kernel is too old for the control: %v", err)
	}
	p := PolicyProbe(nil)
	if p.Declared != nil || p.DeclaredError == "" || !p.Control() {
		t.Errorf("%+v", p)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("much\n"); err != nil {
		t.Fatal(err)
	}
	if p := PolicyProbe(f); p.Declared != nil || p.DeclaredError == "" {
		t.Errorf("a file that says %q is believed: %+v", "much", p)
	}
}

func FuzzDecodePolicy(f *testing.F) {
	seed, err := json.Marshal(PolicyProbe(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(append(seed, seed...))
	f.Add([]byte(`{"declared": 2}`))
	f.Add([]byte(`{"default": {"call": "x", "seals": -1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePolicy(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := decodePolicy(again)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Errorf("%q reads as %+v, written and read again as %+v, %v", b, p, q, err)
		}
		if refused, _ := p.ExecutableRefused(); refused && !p.Control() {
			t.Errorf("refused without a control: %+v", p)
		}
	})
}
