package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/guard"
	"github.com/safevma/safevma/internal/offender"
)

func TestMain(m *testing.M) {
	if offender.Asked() {
		os.Exit(offender.Main(os.Args[1:]))
	}
	if guard.Asked() { // the stages of a launch have names of their own
		os.Exit(guard.Serve())
	}
	testscript.Main(m, map[string]func(){"safevma": main})
}

// The commands, as a user types them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"schema":      matchesSchema,
			"schemalines": linesMatchSchema,
			"sleeps":      startSleeper,
			"pool":        makePool,
			"cut":         cutRecording,
			"flip":        flipRecording,
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			if path, ok := strings.CutPrefix(name, "exists:"); ok {
				_, err := os.Stat(path)
				return err == nil, nil
			}
			if path, ok := strings.CutPrefix(name, "writable:"); ok {
				file, err := os.OpenFile(path, os.O_RDWR, 0)
				if err == nil {
					file.Close()
				}
				return err == nil, nil
			}
			return false, nil
		},
	})
}

// matchesSchema checks a file by a published schema; without a name, that of reports.
func matchesSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 1 {
		args = append(args, "verdicts-v1")
	}
	if len(args) != 2 {
		ts.Fatalf("usage: schema FILE [NAME]")
	}
	err := validate(args[1], ts.ReadFile(args[0]))
	if (err != nil) != neg {
		ts.Fatalf("schema: %v", err)
	}
}

// cutRecording copies a file without its last byte.
func cutRecording(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text[:len(text)-1]), 0o600))
}

// flipRecording copies a file with its last byte changed.
func flipRecording(ts *testscript.TestScript, _ bool, args []string) {
	text := []byte(ts.ReadFile(args[0]))
	text[len(text)-1] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), text, 0o600))
}

// linesMatchSchema is matchesSchema for output with a document a line.
func linesMatchSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: schemalines FILE NAME")
	}
	lines := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		lines++
		if err := validate(args[1], line); (err != nil) != neg {
			ts.Fatalf("schema: %s: %v", line, err)
		}
	}
	if lines == 0 {
		ts.Fatalf("no line")
	}
}

// validate compiles a published schema. They may refer to those of verdicts, DAMON and the LRU, by
// their $id.
func validate(name, text string) error {
	compiler := jsonschema.NewCompiler()
	for _, known := range []string{"damon-v1", "mglru-v1", "verdicts-v1"} {
		file, err := os.ReadFile("../../docs/schema/" + known + ".json")
		if err != nil {
			return err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(file))
		if err != nil {
			return err
		}
		if err := compiler.AddResource("https://github.com/safevma/safevma/docs/schema/"+known+".json", schema); err != nil {
			return err
		}
	}
	schema, err := compiler.Compile("../../docs/schema/" + name + ".json")
	if err != nil {
		return err
	}
	report, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(report)
}

// startSleeper starts an offender, and sets $PID.
func startSleeper(ts *testscript.TestScript, _ bool, args []string) {
	exe, err := os.Executable()
	ts.Check(err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), offender.Env+"=1", "TMPDIR="+ts.Getenv("WORK"))
	in, err := cmd.StdinPipe()
	ts.Check(err)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		in.Close()
		cmd.Wait()
	})
	var report offender.Report
	ts.Check(json.NewDecoder(out).Decode(&report))
	pid, err := json.Marshal(report.PID)
	ts.Check(err)
	ts.Setenv("PID", string(pid))
}

// The schema refuses what the rules of package guarantee refuse: a schema that lets
// everything pass checks nothing.
func TestSchemaCanFail(t *testing.T) {
	good := guarantee.Report{Schema: guarantee.Schema, Tool: guarantee.Tool{Name: "t", Version: "v"}, Host: guarantee.Host{Name: "h", Kernel: "k", Version: "v", Machine: "m", BootID: "b"},
		Verdicts: []guarantee.Verdict{{Requirement: "SV-XDM-03", Rule: "r", Status: guarantee.Broken, Severity: guarantee.High, Subject: guarantee.Subject{Kind: guarantee.KindHost, Name: "h"},
			Method: guarantee.Read, Observation: guarantee.Observation{Source: "s", Raw: []string{"x"}, Total: 1}, Control: guarantee.Control{Status: guarantee.ControlPassed}, Message: "m"}}}
	text := func(change func(*guarantee.Verdict)) string {
		r := good
		r.Verdicts = []guarantee.Verdict{good.Verdicts[0]}
		change(&r.Verdicts[0])
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if err := validate("verdicts-v1", text(func(*guarantee.Verdict) {})); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*guarantee.Verdict){
		"status":              func(v *guarantee.Verdict) { v.Status = "fine" },
		"no message":          func(v *guarantee.Verdict) { v.Message = "" },
		"no raw line":         func(v *guarantee.Verdict) { v.Observation.Raw = nil },
		"holds, no control":   func(v *guarantee.Verdict) { v.Status, v.Control.Status = guarantee.Holds, guarantee.ControlAbsent },
		"process without pid": func(v *guarantee.Verdict) { v.Subject.Kind = guarantee.KindProcess },
		"requirement":         func(v *guarantee.Verdict) { v.Requirement = "X" },
	} {
		if err := validate("verdicts-v1", text(change)); err == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}

// What is generated is what is committed.
func TestGenerated(t *testing.T) {
	var b bytes.Buffer
	if err := guarantee.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	same(t, "../../docs/guarantees.md", b.Bytes())
	dir := t.TempDir()
	if err := writeMan(newRoot(), dir); err != nil {
		t.Fatal(err)
	}
	pages, err := os.ReadDir(dir)
	if err != nil || len(pages) == 0 {
		t.Fatal("no manual pages:", err)
	}
	committed, err := os.ReadDir("../../docs/man")
	if err != nil || len(committed) != len(pages) {
		t.Errorf("%d manual pages are committed, %d are generated: run \"make generate\"", len(committed), len(pages))
	}
	for _, page := range pages {
		text, err := os.ReadFile(filepath.Join(dir, page.Name()))
		if err != nil {
			t.Fatal(err)
		}
		same(t, filepath.Join("../../docs/man", page.Name()), text)
	}
}

func same(t *testing.T, file string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: run \"make generate\"", file)
	}
}
