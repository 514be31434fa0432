package guard

import (
	"os"
	"slices"
	"strconv"
	"testing"
)

// TestEnvironment: what a service manager said of this process is said of the program, and what it said of
// others of nobody.
func TestEnvironment(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name       string
		set        map[string]string
		keep       bool
		want, lack []string
	}{
		{"activated", map[string]string{listenPID: own, listenFDs: "1", listenNames: "a", listenID: "7", watchdogPID: own}, true,
			[]string{"LISTEN_PID=12", "LISTEN_FDS=1", "LISTEN_FDNAMES=a", "WATCHDOG_PID=12"}, []string{"LISTEN_PIDFDID=7"}},
		{"another", map[string]string{listenPID: "12", listenFDs: "1", watchdogPID: "12"}, false,
			nil, []string{"LISTEN_PID=12", "LISTEN_FDS=1", "WATCHDOG_PID=12"}},
		{"not kept", map[string]string{listenPID: own, listenFDs: "1"}, false, nil, []string{"LISTEN_PID=12", "LISTEN_FDS=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.set {
				t.Setenv(name, value)
			}
			l := launcher{}
			if c.keep {
				l.config.Keep = []*os.File{os.Stdin} // any will do
			}
			got := forProcess(l.environment(), 12)
			for _, v := range c.want {
				if !slices.Contains(got, v) {
					t.Errorf("%s is missing", v)
				}
			}
			for _, v := range c.lack {
				if slices.Contains(got, v) {
					t.Errorf("%s is there", v)
				}
			}
		})
	}
}

// TestActivatedRefuses: a number that is none is an error, and what is for another process is nothing.
func TestActivatedRefuses(t *testing.T) {
	t.Setenv(listenPID, strconv.Itoa(os.Getpid()))
	for _, n := range []string{"", "-1", "x", "1025"} {
		t.Setenv(listenFDs, n)
		if _, err := Activated(); err == nil {
			t.Errorf("%s=%q: no error", listenFDs, n)
		}
	}
	t.Setenv(listenPID, "1")
	if all, err := Activated(); err != nil || all != nil {
		t.Errorf("for another process: %v, %v", all, err)
	}
}
