// Command safevma-vet finds mistakes in programs that use package pmem before they run:
// stores through borrowed memory, borrowed memory and transactions that outlive their
// transaction, types that can't live in a pool, and layouts that changed. It runs under go
// vet, or by itself:
//
//	go vet -vettool=$(which safevma-vet) ./...
//	safevma-vet ./...
//	safevma-vet -layout.update ./...
//
// docs/pmem/vet.md tells what it finds and what it can't.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/safevma/safevma/cmd/safevma-vet/borrowstore"
	"github.com/safevma/safevma/cmd/safevma-vet/layout"
)

func main() {
	if slices.Equal(os.Args[1:], []string{"-V=full"}) {
		id, err := identity()
		if err != nil {
			fail(err.Error())
		}
		fmt.Println(id)
		return
	}
	if n := len(os.Args); strings.HasSuffix(os.Args[n-1], ".cfg") && updates(os.Args[1:n-1]) {
		fail("-layout.update: not under go vet, which skips packages that it has seen: run safevma-vet -layout.update ./...")
	}
	multichecker.Main(borrowstore.Analyzer, layout.Analyzer)
}

func updates(flags []string) bool {
	return slices.ContainsFunc(flags, func(f string) bool {
		f = "-" + strings.TrimLeft(f, "-")
		return f == "-layout.update" || f == "-layout.update=true"
	})
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, "safevma-vet:", text)
	os.Exit(1)
}
