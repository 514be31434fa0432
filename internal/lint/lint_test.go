package lint

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestHouse(t *testing.T) {
	found, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, message := range found {
		t.Error(message)
	}
}

// The control: each rule, broken, is found, and the nearest thing that is allowed is
// not.
func TestEachRuleCanFail(t *testing.T) {
	const m = `"github.com/safevma/safevma/`
	tests := []struct{ name, file, text, want string }{
		{"up", "kernel/vma/a.go", "// Package vma.\npackage vma\nimport _ " + m + `rules"`, "imports point down"},
		{"down", "rules/a.go", "// Package rules.\npackage rules\nimport _ " + m + `kernel/vma"`, ""},
		{"same floor", "kernel/vma/a.go", "// Package vma.\npackage vma\nimport _ " + m + `kernel/host"`, "imports point down"},
		{"down to process", "kernel/vma/a.go", "// Package vma.\npackage vma\nimport _ " + m + `kernel/process"`, ""},
		{"own folder", "audit/a.go", "// Package audit.\npackage audit\nimport _ " + m + `audit/manifest"`, ""},
		{"aid", "audit/a.go", "// Package audit.\npackage audit\nimport _ " + m + `internal/offender"`, "is for tests"},
		{"aid in a test", "audit/a_test.go", "package audit\nimport _ " + m + `internal/offender"`, ""},
		{"no floor", "attic/a.go", "// Package attic.\npackage attic\nimport _ " + m + `rules"`, "stands on no floor"},
		{"third party", "kernel/host/a.go", "// Package host.\npackage host\nimport _ \"go.yaml.in/yaml/v4\"", "is a library"},
		{"third party above", "rules/a.go", "// Package rules.\npackage rules\nimport _ \"go.yaml.in/yaml/v4\"", ""},
		{"unsafe", "internal/sys/a.go", "// Package sys.\npackage sys\nimport _ \"unsafe\"", "*_unsafe.go"},
		{"unsafe in its place", "internal/sys/a_unsafe.go", "// Package sys.\npackage sys\nimport _ \"unsafe\"", ""},
		{"unix", "kernel/vma/a.go", "// Package vma.\npackage vma\nimport _ \"golang.org/x/sys/unix\"", "internal/sys alone"},
		{"unix in a test", "kernel/vma/a_test.go", "package vma\nimport _ \"golang.org/x/sys/unix\"", "internal/sys alone"},
		{"cgo", "internal/sys/a.go", "// Package sys.\npackage sys\nimport \"C\"", "no cgo"},
		{"no comment", "rules/a.go", "package rules", "no comment"},
		{"panic", "rules/a.go", "// Package rules.\npackage rules\nfunc f() { panic(1) }", "return an error"},
		{"panic of another", "rules/a.go", "// Package rules.\npackage rules\nfunc f() { r := recover(); panic(r) }", ""},
		{"exit", "audit/a.go", "// Package audit.\npackage audit\nimport \"os\"\nfunc f() { os.Exit(1) }", "return an error"},
		{"exit in a command", "cmd/x/a.go", "// Command x.\npackage main\nimport \"os\"\nfunc f() { os.Exit(1) }", ""},
	}
	for _, tt := range tests {
		found, err := Check(fstest.MapFS{tt.file: {Data: []byte(tt.text)}})
		if err != nil {
			t.Fatal(err)
		}
		if tt.want == "" && len(found) != 0 || tt.want != "" && !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, tt.want) }) {
			t.Errorf("%s: found %q, want %q", tt.name, found, tt.want)
		}
	}
}
