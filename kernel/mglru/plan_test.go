package mglru

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

const groups = `memcg     1 /
 node     0
          4      81300       1205       3377
          5      61200        100         99
          6      40100          7          0
          7       1000         20         30
memcg     0 /a
 node     0
          0         10          1          1
memcg    12 /a
 node     0
          2      90000          0          0
          3      50000         10         20
          4      30000         30         40
          5         10         50         60
 node     1
          0      90000          0          0
          1      90000         10         20
memcg    13 /a/b
 node     0
memcg    14 /ab
 node     0
          0         10          1          1
          1         10          1          1
`

func TestScope(t *testing.T) {
	list := parse(t, groups)
	for _, tt := range []struct {
		scope Scope
		want  []string // path, nodes
	}{
		{Scope{Path: "/a", Node: EveryNode}, []string{"/a 2"}},
		{Scope{Path: "a/", Node: EveryNode}, []string{"/a 2"}},
		{Scope{Path: "/a", Below: true, Node: EveryNode}, []string{"/a 2", "/a/b 1"}},
		{Scope{Path: "/a", Below: true, Node: 1}, []string{"/a 1"}},
		{Scope{Path: "/", Node: EveryNode}, []string{"/ 1"}},
		{WholeHost(), []string{"/ 1", "/a 2", "/a/b 1", "/ab 1"}},
		{Scope{Path: "/c", Node: EveryNode}, nil},
		{Scope{Path: "/ab", Node: 1}, nil},
		{Scope{Path: "", Node: EveryNode}, []string{"/ 1"}},
	} {
		chosen, err := tt.scope.Choose(list)
		if (tt.want == nil) != errors.Is(err, ErrNoGroup) {
			t.Errorf("%+v: %v", tt.scope, err)
		}
		var got []string
		for _, m := range chosen {
			got = append(got, m.Path+" "+string(rune('0'+len(m.Nodes))))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.scope, got, tt.want)
		}
	}
	if !WholeHost().Root() || (Scope{Path: "/a/.."}).Root() != true || (Scope{Path: "/a"}).Root() {
		t.Error("which scopes begin at the root")
	}
	if chosen, err := WholeHost().Choose(parse(t, "memcg 0 \n node 0\n 0 1 2 3\n")); err != nil || len(chosen) != 1 {
		t.Errorf("without memory cgroups: %+v, %v", chosen, err)
	}
	if n := len(list[2].Nodes); n != 2 {
		t.Errorf("choosing has changed the list: %d nodes", n)
	}
}

// commands are those of a plan; of a step with nothing to do, "".
func commands(steps []Step) (list []string) {
	for _, s := range steps {
		if s.Command == nil {
			list = append(list, "")
		} else {
			list = append(list, s.Command.String())
		}
	}
	return list
}

func TestPlanAge(t *testing.T) {
	list, err := WholeHost().Choose(parse(t, groups))
	if err != nil {
		t.Fatal(err)
	}
	steps := PlanAge(list, AgeOptions{Force: true})
	if want := []string{"+ 1 0 7 0 1", "+ 12 0 5 0 1", "+ 12 1 1 0 1", "", "+ 14 0 1 0 1"}; !reflect.DeepEqual(commands(steps), want) {
		t.Errorf("%q", commands(steps))
	}
}

// What is evicted has been idle for as long as the next younger generation is old.
func TestPlanEvict(t *testing.T) {
	for _, tt := range []struct {
		idle time.Duration
		want []string
	}{
		{0, []string{"- 1 0 5 60", "- 12 0 3 60", "", "", ""}},
		{30 * time.Second, []string{"- 1 0 5 60", "- 12 0 3 60", "", "", ""}},
		{30*time.Second + 1, []string{"- 1 0 5 60", "", "", "", ""}}, // of 12, what is older is empty
		{61 * time.Second, []string{"- 1 0 4 60", "", "", "", ""}},
		{61201 * time.Millisecond, []string{"", "", "", "", ""}},
	} {
		list, _ := WholeHost().Choose(parse(t, groups))
		steps, err := PlanEvict(list, EvictOptions{Idle: tt.idle, Swappiness: 60})
		if err != nil || !reflect.DeepEqual(commands(steps), tt.want) {
			t.Errorf("idle for %v: %q, %v, want %q", tt.idle, commands(steps), err, tt.want)
		}
		for _, s := range steps {
			if (s.Command == nil) != (s.Why != "") {
				t.Errorf("%+v", s)
			}
		}
	}
	if steps, err := PlanEvict(nil, EvictOptions{Swappiness: 201}); err == nil {
		t.Errorf("%+v", steps)
	}
}

func TestJudge(t *testing.T) {
	list := parse(t, groups)
	step := PlanAge(list[2:3], AgeOptions{})[0]
	for _, tt := range []struct {
		name string
		list []Memcg
		had  error
		want error
	}{
		{"aged", parse(t, "memcg 12 /a\n node 0\n 5 10 1 1\n 6 0 1 1\n"), nil, nil},
		{"not aged", list, nil, ErrNotAged},
		{"refused", list, ErrDenied, ErrDenied},
		{"gone", parse(t, "memcg 12 /other\n node 0\n 6 0 1 1\n"), nil, ErrGone},
	} {
		o := Outcome{Step: step, Err: tt.had}
		o.judge(tt.list)
		if !errors.Is(o.Err, tt.want) || tt.want == nil && o.Err != nil || (o.After == nil) != (tt.want == ErrGone) {
			t.Errorf("%s: %+v", tt.name, o)
		}
	}
	nothing := Outcome{Step: Step{Why: "nothing"}}
	if nothing.judge(nil); nothing.Err != nil {
		t.Errorf("%+v", nothing)
	}
}
