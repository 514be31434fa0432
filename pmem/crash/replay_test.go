package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The counterexample names the one line that was lost, and the store into it.
func TestCounterexample(t *testing.T) {
	w := idleWorkload(6)
	run := w.Run
	w.Run = func(o *Ops[*bits]) error { o.S.flaw = "flush"; return run(o) }
	w.Check = func(b *bits) error { var buf [4096]byte; return b.m.Read(4096, buf[:]) }
	_, err := explore(t, Config{Models: adrOnly, Recoveries: 1 << 20}, w)
	f := wantFailure(t, err, errState)
	lost := 0
	for _, p := range f.Parts {
		if len(p.Lost) > 0 {
			lost++
			if p.Off >= 4096 {
				t.Errorf("it blames a line that has nothing to do with it: %+v", p)
			}
		}
		for _, s := range slices.Concat(p.There, p.Lost) {
			if !strings.Contains(s, "crash/e") {
				t.Errorf("no place: %s", s)
			}
		}
	}
	if lost != 1 {
		t.Errorf("%d lines are lost", lost)
	}
}

// A replay file shows the failure again, and passes on the mended code.
func TestReplay(t *testing.T) {
	_, err := explore(t, Config{Models: adrOnly}, pairWorkload("recovery"))
	f := wantFailure(t, err, errState)
	file, err := WriteReplay(filepath.Join(t.TempDir(), "new"), "a/b c", f.Replay)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseReplay(text)
	if err != nil {
		t.Fatal(err)
	}
	_, err = explore(t, Config{Models: adrOnly}, bitsWorkload("flush", 3))
	f = wantFailure(t, err, errState)
	if err := RunReplay(bitsWorkload("flush", 3), f.Replay); !errors.Is(err, errState) {
		t.Errorf("it does not fail again: %v", err)
	}
	if err := RunReplay(pairWorkload(""), r); !errors.Is(err, errState) {
		t.Log("the nested image is one that only the broken recovery makes:", err)
	}
	r.Size++
	if err := RunReplay(pairWorkload(""), r); !errors.Is(err, ErrReplay) {
		t.Error(err)
	}
	for _, bad := range []string{"", "{}", `{"format":"safevma.crash-replay/v1"}`, `{"format":"safevma.crash-replay/v1","size":1,"model":{"domain":"adr","unit":64},"image":"AA=="}`} {
		r, err := ParseReplay([]byte(bad))
		if err == nil {
			_, err = r.image()
		}
		if !errors.Is(err, ErrReplay) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseReplay(f *testing.F) {
	r := newReplay(&Failure{Model: ADR}, make([]byte, 64), &legal{})
	text, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseReplay(text)
		if err != nil {
			return
		}
		if image, err := r.image(); err == nil && int64(len(image)) != r.Size {
			t.Error("an image of another size")
		}
	})
}

// fatal is what a failing test of Run looks like.
type fatal struct {
	*testing.T
	failed string
}

func (f *fatal) Fatalf(format string, args ...any) { f.failed += fmt.Sprintf(format, args...) }

func TestRun(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(ReportVariable, "reports")
	f := &fatal{T: t}
	Run(f, Config{Models: adrOnly}, bitsWorkload("", 3))
	if f.failed != "" {
		t.Error(f.failed)
	}
	Run(f, Config{Models: adrOnly}, bitsWorkload("flush", 3))
	if !strings.Contains(f.failed, ReplayVariable+"=testdata/crash/TestRun.json go test") {
		t.Error(f.failed)
	}
	var report Report
	text, err := os.ReadFile("reports/TestRun.json")
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || report.Format != ReportFormat || report.Verdict != "broken" || report.Failure == nil || len(report.Failure.Parts) == 0 {
		t.Errorf("%v: %s", err, text)
	}
	t.Run("it's 1+1", func(t *testing.T) { // the command runs this test alone
		f := &fatal{T: t}
		Run(f, Config{Models: adrOnly}, bitsWorkload("flush", 3))
		if !strings.Contains(f.failed, `-run '^TestRun$/^it'\''s_1\+1$' .`) {
			t.Error(f.failed)
		}
	})
	t.Setenv(ReplayVariable, "testdata/crash/TestRun.json")
	again := &fatal{T: t}
	if Run(again, Config{}, bitsWorkload("flush", 3)); !strings.Contains(again.failed, "still fails") {
		t.Error(again.failed)
	}
	mended := &fatal{T: t}
	w := bitsWorkload("", 3)
	w.Dump = func(b *bits) (string, error) { // and this one does not trust a value without its complement
		s, err := b.dump()
		if strings.Contains(s, "f") {
			s = ""
		}
		return s, err
	}
	if Run(mended, Config{}, w); mended.failed != "" {
		t.Error(mended.failed)
	}
	if Run(mended, Config{}, pairWorkload("")); mended.failed == "" {
		t.Error("a replay of another workload")
	}
}
