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
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/safevma/safevma/cmd/safevma-vet/borrowstore"
	"github.com/safevma/safevma/cmd/safevma-vet/layout"
)

func main() { multichecker.Main(borrowstore.Analyzer, layout.Analyzer) }
