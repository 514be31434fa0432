package probe

import (
	"syscall"
	"testing"
)

// What others commit at the same moment is no answer, even where it is the same twice.
func TestCountedTwice(t *testing.T) {
	const mine, others = commitSize, 34 << 20
	for _, test := range []struct {
		grown []int64
		want  Answer
	}{
		{[]int64{mine, mine}, "counted"},
		{[]int64{0, 0}, "not counted"},
		{[]int64{mine + others, mine + others, mine, mine + 4096}, "counted"},
		{[]int64{mine, 0, mine, -4096, 4096}, "not counted"},
		{[]int64{mine, others, mine, others, 0, 0}, "not counted"},
	} {
		left := test.grown
		got := countedTwice(commitSize, commitError, func() int64 {
			n := left[0]
			left = left[1:]
			return n
		})
		if got != test.want || len(left) != 0 {
			t.Errorf("%v: %s, %d left", test.grown, got, len(left))
		}
	}
}

// A run of a probe asks again and again, and has no more than it asked for at once: with room for
// that alone it comes to an answer.
func TestCommitGivesBack(t *testing.T) {
	t.Setenv("SAFEVMA_PROBE_TEST", "1")
	if r := runAll(t, Config{Probes: []Probe{{ID: "t-gives-back"}}}).Probes[0]; r.Outcome != Confirmed {
		t.Errorf("%s, %+v", r.Outcome, r.Reason)
	}
}

// A limit of the caller, which refuses writable memory as well, is none of the host.
func TestLimitOfTheCaller(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Setrlimit(syscall.RLIMIT_DATA, &limit) })
	small := syscall.Rlimit{Cur: 1 << 30, Max: limit.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &small); err != nil {
		t.Skip(err)
	}
	p, _ := Find("cm-too-much") // which asks for more than that on any host
	if r := runAll(t, Config{Probes: []Probe{p}}).Probes[0]; r.Outcome != Unknown || r.Reason.Why != Privilege {
		t.Errorf("%s, %+v", r.Outcome, r.Reason)
	}
}
