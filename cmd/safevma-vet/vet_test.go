package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safevma/safevma/cmd/safevma-vet/layout"
)

// bank is a module with one finding of each kind.
var bank = map[string]string{
	"helper/helper.go": `// Package helper does not know pmem.
package helper

func Zero(b []byte) {
	for i := range b {
		b[i] = 0
	}
}
`,
	"bank.go": `// Package bank keeps accounts.
package bank

import (
	"context"

	"example.org/bank/helper"
	"github.com/safevma/safevma/pmem"
)

type Account struct {
	Owner   [16]byte
	Balance int64
}

type Bank struct {
	pool *pmem.Pool
	last *Account
}

func (b *Bank) Pay(ctx context.Context, r pmem.Ref[Account], text pmem.Ref[pmem.Bytes]) error {
	return b.pool.Update(ctx, func(tx *pmem.Tx) error {
		a, err := pmem.Borrow(tx, r)
		if err != nil {
			return err
		}
		a.Balance--
		b.last = a
		memo, err := pmem.BorrowBytes(tx, text)
		if err != nil {
			return err
		}
		helper.Zero(memo)
		go use(tx)
		_, err = pmem.Alloc(tx, "memo")
		return err
	})
}

func use(tx *pmem.Tx) {}
`,
}

var findings = []string{
	"bank.go:27:5: store through borrowed memory",
	"bank.go:28:5: borrowed memory is kept behind a parameter",
	"bank.go:33:14: borrowed memory is passed to Zero, which stores through it",
	"bank.go:34:3: the transaction is used in another goroutine",
	"bank.go:35:17: string can't live in a pool",
}

// twin is the same without what is found.
var twin = strings.NewReplacer(
	"a, err := pmem.Borrow(tx, r)", "a, err := pmem.Get(tx, r)",
	"b.last = a\n", "b.last = &a\n",
	"helper.Zero(memo)", "helper.Zero(append([]byte(nil), memo...))",
	"go use(tx)", "use(tx)",
	`_, err = pmem.Alloc(tx, "memo")`, `err = pmem.Set(tx, r, a)`,
)

// The tool under go vet and by itself, on a module of its own: what tests of the analysers
// don't show is that facts, flags and the lock file reach it there.
func TestVetTool(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "safevma-vet")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("stub", func(t *testing.T) { tryTool(t, tool, "testdata/src/github.com/safevma/safevma") })
	t.Run("pmem", func(t *testing.T) {
		if found, _ := filepath.Glob("../../pmem/*.go"); len(found) == 0 {
			t.Skip("there is no package pmem in this tree")
		}
		tryTool(t, tool, "../..")
	})
}

func tryTool(t *testing.T, tool, pmem string) {
	m := module{t, t.TempDir()}
	m.init(pmem)
	for name, text := range bank {
		m.write(name, text)
	}
	for _, command := range [][]string{{"go", "vet", "-vettool=" + tool, "./..."}, {tool, "./..."}} {
		out, ok := m.run(command...)
		if ok {
			t.Errorf("%v: found nothing", command)
		}
		for _, want := range findings {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", command, want, out)
			}
		}
	}
	m.write("bank.go", twin.Replace(bank["bank.go"]))
	vet := []string{"go", "vet", "-vettool=" + tool}
	m.silent(append(vet, "./...")...)
	m.silent(tool, "./...")
	m.found(" has no "+layout.File, append(vet, "-layout.require", "./...")...)
	m.silent(tool, "-layout.update", "./...")
	m.silent(append(vet, "-layout.require", "./...")...)
	m.lockCounts(vet)
	m.found("not under go vet", append(vet, "-layout.update", "./...")...)
	m.write("bank.go", strings.Replace(twin.Replace(bank["bank.go"]), "Balance int64", "Limit, Balance int64", 1))
	m.found("bank.go:11:6: the layout of Account changed: it has 32 bytes, had 24; Balance moved from offset 16 to 24; Limit is new (int64 at 16)", append(vet, "./...")...)
}

// lockCounts: go vet keeps what it found while the source is the same; a lock file that is
// changed, or is right again, must count all the same.
func (m module) lockCounts(vet []string) {
	name := filepath.Join(m.dir, layout.File)
	right, err := os.ReadFile(name)
	if err != nil {
		m.Fatal(err)
	}
	m.write(layout.File, strings.Replace(string(right), "uint8", "int8", 1))
	m.found("Owner is [16]uint8, was [16]int8", append(vet, "./...")...)
	m.write(layout.File, string(right))
	m.silent(append(vet, "./...")...)
}

// module is a module in a directory of its own.
type module struct {
	*testing.T
	dir string
}

func (m module) init(pmem string) {
	dir, err := filepath.Abs(pmem)
	if err != nil {
		m.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if os.IsNotExist(err) { // the stub is no module until here
		stub := filepath.Join(m.dir, "stub")
		if err := os.CopyFS(stub, os.DirFS(dir)); err != nil {
			m.Fatal(err)
		}
		dir = stub
		m.write("stub/go.mod", "module github.com/safevma/safevma\n\ngo 1.26.0\n")
	} else if err != nil {
		m.Fatal(err)
	}
	m.write("go.sum", string(sum))
	m.write("go.mod", "module example.org/bank\n\ngo 1.26.0\n\nrequire github.com/safevma/safevma v0.0.0\n\nreplace github.com/safevma/safevma => "+dir+"\n")
}

func (m module) write(name, text string) {
	m.Helper()
	name = filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		m.Fatal(err)
	}
}

func (m module) run(command ...string) (out string, ok bool) {
	m.Helper()
	c := exec.CommandContext(m.Context(), command[0], command[1:]...)
	c.Dir = m.dir
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "GO111MODULE=on")
	text, err := c.CombinedOutput()
	return string(text), err == nil
}

func (m module) silent(command ...string) {
	m.Helper()
	if out, ok := m.run(command...); !ok || out != "" {
		m.Errorf("%v: %v\n%s", command, ok, out)
	}
}

func (m module) found(want string, command ...string) {
	m.Helper()
	if out, ok := m.run(command...); ok || !strings.Contains(out, want) {
		m.Errorf("%v: %v: no %q in\n%s", command, ok, want, out)
	}
}
