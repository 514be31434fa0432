package psi

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	p, err := parse("some avg10=1.50 avg60=0.00 avg300=0.25 total=5453900\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n")
	if err != nil || p.Some.Avg10 != 1.5 || p.Some.Avg300 != 0.25 || p.Some.Total != 5453900*time.Microsecond || p.Full.Total != 7*time.Microsecond {
		t.Errorf("%+v, %v", p, err)
	}
	for _, text := range []string{"", "some avg10=0 avg60=0 total=0\n", "some avg10=0 avg60=0 avg300=0\n",
		"some avg10=x avg60=0 avg300=0 total=0\n", "some avg10=0 avg60=0 avg300=0 total=-1\n", "none avg10=0 avg60=0 avg300=0 total=1\n"} {
		if p, err := parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("some avg10=1.50 avg60=0.00 avg300=0.25 total=5453900\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parse(text); err == nil && (p.Some.Total < 0 || p.Full.Total < 0) {
			t.Errorf("%q is read as %+v", text, p)
		}
	})
}

const memory = "/proc/pressure/memory"

func TestLive(t *testing.T) {
	if _, err := Read(memory); errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTrigger(memory, "some", 3*time.Second, 2*time.Second); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a trigger at 3 s in 2 s: %v, want EINVAL", err)
	}
	trigger, err := NewTrigger(memory, "full", 1900*time.Millisecond, 2*time.Second)
	if err != nil {
		t.Skip("a trigger at 1.9 s in 2 s:", err)
	}
	defer trigger.Close()
	if _, err := trigger.Wait(10 * time.Millisecond); err != nil {
		t.Error(err)
	}
}
