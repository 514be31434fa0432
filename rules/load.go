package rules

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Limits on a rule file. Together with those on an expression they bound the time that
// Load takes to a few seconds, whatever the file says.
const (
	maxFile    = 256 << 10 // bytes
	maxNesting = 16        // of YAML
	maxRules   = 1000
	maxItems   = 100 // of each list in a rule
	maxHoles   = 20  // expressions in a message
)

// Load reads a rule file. The name stands in errors. The error joins all faults of the
// file, each an [*Error]; a pack is returned only where there are none.
func Load(name string, data []byte) (*Pack, error) {
	d := &decoder{file: name}
	root := d.parse(data)
	if root == nil {
		return nil, join(d.faults)
	}
	digest := sha256.Sum256(data)
	pack := &Pack{File: name, Digest: hex.EncodeToString(digest[:])}
	d.pack(root, pack)
	if len(d.faults) > 0 {
		return nil, join(d.faults)
	}
	return pack, nil
}

// parse makes the tree of YAML nodes, or returns nil.
func (d *decoder) parse(data []byte) *yaml.Node {
	if len(data) > maxFile {
		d.fail(position{}, "the file has %d bytes, more than %d: split it", len(data), maxFile)
		return nil
	}
	if p, reason := unreadable(data); reason != "" {
		d.fail(p, "%s", reason)
		return nil
	}
	d.source = newSource(data)
	root, err := d.document(data)
	if err != nil {
		d.yamlError(err)
		return nil
	}
	d.plainYAML(root)
	if len(d.faults) > 0 {
		return nil
	}
	return root
}

// document reads the one document of the file.
func (d *decoder) document(data []byte) (*yaml.Node, error) {
	limits := loaderlimits.New(loaderlimits.DepthValue(maxNesting), loaderlimits.AliasValue(0))
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits))
	if err != nil {
		return nil, err
	}
	var doc, second yaml.Node
	if err := loader.Load(&doc); err != nil {
		return nil, err
	}
	if len(doc.Content) != 1 {
		return nil, io.EOF
	}
	if err := loader.Load(&second); !errors.Is(err, io.EOF) {
		if err == nil {
			d.fail(at(&second), "a second document begins here: a rule file has one")
		} else {
			d.yamlError(err)
		}
	}
	return doc.Content[0], nil
}

func (d *decoder) yamlError(err error) {
	var bad *yaml.LoadError
	switch {
	case errors.Is(err, io.EOF):
		d.fail(position{}, "the file is empty: begin it with %q", "schema: "+Schema)
	case errors.As(err, &bad):
		reason := "not YAML: " + bad.Message
		if bad.ContextMsg != "" {
			reason += " (" + bad.ContextMsg + ")"
		}
		p := position{bad.Mark.Line, bad.Mark.Column}
		if p.line <= 0 {
			p = position{}
		}
		d.fail(p, "%s", reason)
	default:
		d.fail(position{}, "not YAML: %v", err)
	}
}

// unreadable finds the first character that no rule file should have: what an editor does
// not show, or shows elsewhere, and what some call the end of a line and others do not.
func unreadable(data []byte) (position, string) {
	p := position{1, 1}
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return p, fmt.Sprintf("the byte %#02x is not UTF-8: save the file as UTF-8", data[0])
		case r == '\r' && !bytes.HasPrefix(data, []byte("\r\n")):
			return p, "a carriage return without a line feed: end lines with a line feed"
		case r == '\n' || r == '\t' || r == '\r':
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return p, fmt.Sprintf("the control character %U: remove it", r)
		}
		p.column++
		if r == '\n' {
			p = position{p.line + 1, 1}
		}
		data = data[n:]
	}
	return p, ""
}

// plainYAML refuses what a rule file does not need and a reader does not expect.
func (d *decoder) plainYAML(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(at(n), "aliases (*%s) are not allowed: write the value out", n.Value)
		return
	case n.Anchor != "":
		d.fail(at(n), "anchors (&%s) are not allowed: remove it", n.Anchor)
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(at(n), "tags (%s) are not allowed: remove it", n.Tag)
	}
	for _, c := range n.Content {
		d.plainYAML(c)
	}
}

// LoadFiles reads several rule files. The error joins the faults of all.
func LoadFiles(paths ...string) ([]*Pack, error) {
	var packs []*Pack
	var errs []error
	for _, path := range paths {
		data, err := readFile(path)
		if err != nil {
			errs = append(errs, &Error{File: path, Reason: err.Error()})
			continue
		}
		pack, err := Load(path, data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		packs = append(packs, pack)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return packs, nil
}

// readFile reads no more than Load needs to refuse a file that is too large.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(io.LimitReader(f, maxFile+1)); err == nil {
			return data, nil
		}
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, fmt.Errorf("can't be read: %w", err)
}

//go:embed packs/*.yaml
var packFiles embed.FS

// embedded loads each embedded pack once.
var embedded = func() map[string]func() (*Pack, error) {
	m := make(map[string]func() (*Pack, error))
	for _, name := range EmbeddedNames() {
		m[name] = sync.OnceValues(func() (*Pack, error) {
			file := "packs/" + name + ".yaml"
			data, err := packFiles.ReadFile(file)
			if err != nil {
				return nil, err
			}
			return Load("embedded:"+path.Base(file), data)
		})
	}
	return m
}()

// EmbeddedNames returns the names of the embedded packs, sorted.
func EmbeddedNames() []string {
	entries, err := packFiles.ReadDir("packs")
	if err != nil {
		return nil // the directory is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Embedded returns an embedded pack: "baseline" is for any host, "safety" is what a
// mixed-criticality system is asked on top of it. The pack is shared: don't change it.
func Embedded(name string) (*Pack, error) {
	load, ok := embedded[name]
	if !ok {
		return nil, fmt.Errorf("no embedded rules %q: %s", name, oneOf(name, EmbeddedNames()))
	}
	return load()
}

// Catalogue returns the rules of all embedded packs, for lists.
func Catalogue() ([]*Rule, error) {
	var packs []*Pack
	for _, name := range EmbeddedNames() {
		pack, err := Embedded(name)
		if err != nil {
			return nil, err
		}
		packs = append(packs, pack)
	}
	return Join(packs...)
}
