package host

import (
	"slices"
	"testing"
)

func TestParseCmdline(t *testing.T) {
	for _, test := range []struct {
		text   string
		params []Param
		init   []string
	}{
		{"", nil, nil},
		{"quiet panic=1\n", []Param{{"quiet", "", false}, {"panic", "1", true}}, nil},
		{"a= b", []Param{{"a", "", true}, {"b", "", false}}, nil},
		{`dyndbg="file drivers/* +p" x`, []Param{{"dyndbg", "file drivers/* +p", true}, {"x", "", false}}, nil},
		{`"foo=a b" c`, []Param{{"foo", "a b", true}, {"c", "", false}}, nil},
		{`"quo ted"`, []Param{{"quo ted", "", false}}, nil},
		{`a="open`, []Param{{"a", "open", true}}, nil},
		{"k=a=b", []Param{{"k", "a=b", true}}, nil},
		{"ro -- --init -- nokaslr", []Param{{"ro", "", false}}, []string{"--init", "--", "nokaslr"}},
		{"--=x", []Param{{"--", "x", true}}, nil},
		{"\t a \n b", []Param{{"a", "", false}, {"b", "", false}}, nil},
	} {
		got, err := parseCmdline(test.text)
		if err != nil || !slices.Equal(got.Params, test.params) || !slices.Equal(got.Init, test.init) {
			t.Errorf("%q: %v, %v; want %v %v", test.text, got, err, test.params, test.init)
		}
	}
	if _, err := parseCmdline("a\x00b"); err == nil {
		t.Error("a zero byte is not in a command line")
	}
}

// The kernel takes - for _ in a key, and most parameters take the last one. What is
// meant for the first process is not the kernel's.
func TestCmdlineLookup(t *testing.T) {
	c, err := parseCmdline("init-on-alloc=1 init_on_alloc=0 -- nokaslr")
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := c.Lookup("init_on_alloc"); !ok || p.Value != "0" {
		t.Errorf("%v %v, want the last one", p, ok)
	}
	if p, ok := c.Lookup("nokaslr"); ok {
		t.Errorf("%v is an argument of the first process", p)
	}
}
