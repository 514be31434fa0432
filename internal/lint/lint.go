// Package lint keeps the rules of the house by tests: which package may import
// which, where unsafe code and raw system calls may stand, and that each package
// says what it is. It reads source text alone. Each message says what to do instead.
package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

const module = "github.com/safevma/safevma/"

// floors are the packages from the ground up. A package imports from lower floors
// alone. A name that ends in a slash stands for all below it that is not named.
var floors = [][]string{
	{"internal/sys", "internal/plain", "guarantee", "lab/machine", "pmem/medium/internal/line"},
	{"kernel/process", "kernel/tracefs", "internal/gcm", "pmem/medium", "pmem/crash/state", "lab/debian", "lab/image", "lab/wire"},
	{"kernel/", "pmem", "pmem/crash", "lab/guest", "lab/vm"},
	{"exposure", "watch", "watch/plan", "watch/recording", "rules", "region/internal/view", "pmem/fsck", "pmem/inspect", "pmem/model", "pmem/crash/", "lab/feature"},
	{"audit/manifest", "region", "pmem/workload", "lab", "watch/access", "watch/damo", "watch/heatmap"},
	{"audit", "guard", "probe", "region/"},
	{"internal/term"},
	{"cmd/safevma-vet/pool"},
	{"cmd/safevma-vet/"},
	{"cmd/", "examples/"},
}

// aids are for tests and for the repository: they stand beside the house.
var aids = []string{"bench", "lab/labtest", "internal/benchmark", "internal/history", "internal/hog", "internal/interleave", "internal/lint", "internal/memsearch", "internal/minimal", "internal/mutation", "internal/offender", "internal/survival"}

// libraries are what others import: they bring the standard library and x/sys alone.
var libraries = []string{"guarantee", "region", "pmem", "label", "kernel"}

// Check returns what is wrong with the Go files of a source tree.
func Check(tree fs.FS) ([]string, error) {
	c := checker{docs: map[string]bool{}}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		return c.file(tree, name)
	})
	for dir, documented := range c.docs {
		if !documented {
			c.say(dir, "package has no comment: say above the package clause, in doc.go or in its first file, what belongs there")
		}
	}
	slices.Sort(c.found)
	return c.found, err
}

type checker struct {
	found []string
	docs  map[string]bool
}

func (c *checker) say(where, format string, args ...any) {
	c.found = append(c.found, where+": "+fmt.Sprintf(format, args...))
}

func (c *checker) file(tree fs.FS, name string) error {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.ParseComments)
	if err != nil {
		return err
	}
	dir, test := path.Dir(name), strings.HasSuffix(name, "_test.go")
	if !test {
		c.docs[dir] = c.docs[dir] || f.Doc != nil
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		c.imports(set.Position(spec.Pos()).String(), dir, name, imported, test)
	}
	if !test && f.Name.Name != "main" && floor(dir) >= 0 {
		c.quiet(set, f)
	}
	return nil
}

func (c *checker) imports(where, dir, file, imported string, test bool) {
	switch {
	case imported == "unsafe" && !strings.HasSuffix(strings.TrimSuffix(file, "_test.go"), "_unsafe") && !strings.HasSuffix(file, "_unsafe.go"):
		c.say(where, "unsafe stands in files named *_unsafe.go alone: move this code to one, or use a function of internal/sys")
	case imported == "golang.org/x/sys/unix" && dir != "internal/sys":
		c.say(where, "x/sys/unix is for internal/sys alone: add a typed wrapper there, or compare errnos with package syscall")
	case imported == "C":
		c.say(where, "no cgo: call the kernel through internal/sys")
	}
	if test {
		return
	}
	if slices.Contains(libraries, first(dir)) && strings.Contains(first(imported), ".") &&
		!strings.HasPrefix(imported, module) && !strings.HasPrefix(imported, "golang.org/x/sys/") {
		c.say(where, "%s is a library: it imports the standard library and x/sys alone, so that its users inherit nothing; do this on a higher floor", dir)
	}
	if inner, ok := strings.CutPrefix(imported, module); ok {
		c.down(where, dir, inner)
	}
}

func (c *checker) down(where, dir, imported string) {
	from, to := floor(dir), floor(imported)
	switch {
	case from < 0:
		if !aid(dir) {
			c.say(where, "%s stands on no floor: give it one in internal/lint", dir)
		}
	case aid(imported):
		c.say(where, "%s is for tests: production code does not import it", imported)
	case to >= from && !sameHouse(dir, imported):
		c.say(where, "%s may not import %s: imports point down, and packages on one floor do not import each other; move what both need to a lower floor", dir, imported)
	}
}

// sameHouse: a package may have folders of its own below it.
func sameHouse(dir, imported string) bool { return strings.HasPrefix(imported, dir+"/") }

func floor(dir string) int {
	for i, packages := range floors {
		if slices.Contains(packages, dir) {
			return i
		}
	}
	for i, packages := range floors {
		if slices.ContainsFunc(packages, func(p string) bool { return strings.HasSuffix(p, "/") && strings.HasPrefix(dir, p) }) {
			return i
		}
	}
	return -1
}

func aid(dir string) bool {
	return slices.ContainsFunc(aids, func(a string) bool { return dir == a || strings.HasPrefix(dir, a+"/") })
}

// quiet: a library never panics, exits, logs or prints. It may pass on a panic that it
// recovered and that is not its own.
func (c *checker) quiet(set *token.FileSet, f *ast.File) {
	recovered := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if name, ok := recovers(n); ok {
			recovered[name] = true
		}
		call, ok := n.(*ast.CallExpr)
		if !ok || calledName(call.Fun) == "panic" && len(call.Args) == 1 && recovered[calledName(call.Args[0])] {
			return true
		}
		switch name := calledName(call.Fun); {
		case name == "panic", name == "os.Exit", strings.HasPrefix(name, "log."), strings.HasPrefix(name, "slog."),
			name == "fmt.Print", name == "fmt.Println", name == "fmt.Printf", name == "print", name == "println":
			c.say(set.Position(call.Pos()).String(), "%s in a library: return an error, and let the command decide", name)
		}
		return true
	})
}

// recovers returns the variable that a statement gives a recovered panic to.
func recovers(n ast.Node) (string, bool) {
	assign, ok := n.(*ast.AssignStmt)
	if !ok || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 {
		return "", false
	}
	call, ok := assign.Rhs[0].(*ast.CallExpr)
	return calledName(assign.Lhs[0]), ok && calledName(call.Fun) == "recover"
}

func calledName(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

func first(name string) string {
	name, _, _ = strings.Cut(name, "/")
	return name
}
