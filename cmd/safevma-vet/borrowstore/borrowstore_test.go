package borrowstore_test

import (
	"path/filepath"
	"testing"

	"golang.org/x/tools/go/analysis/analysistest"

	"github.com/safevma/safevma/cmd/safevma-vet/borrowstore"
)

// Each package has what must be found, and beside it what looks like it and is correct.
func TestFound(t *testing.T) {
	testdata, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	analysistest.Run(t, testdata, borrowstore.Analyzer, "stores", "harder", "escapes", "transactions", "across")
}

// Facts of a package that does not import pmem.
func TestFacts(t *testing.T) {
	testdata, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	analysistest.Run(t, testdata, borrowstore.Analyzer, "example.org/helper")
}
