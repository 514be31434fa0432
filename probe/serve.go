package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Env is the environment variable that asks a program to be the process of a probe. See
// [Asked].
const Env = "SAFEVMA_PROBE_CHILD"

var asked bool

// Asked reports whether this process was started to run a probe. A program that calls
// [Run], and a test binary that does, calls it first thing in main or TestMain and, if it
// is so, does nothing but
//
//	os.Exit(probe.Serve(os.Stdin, os.Stdout))
func Asked() bool {
	asked = true
	return os.Getenv(Env) != ""
}

// ErrNotHooked says that this program never called [Asked], so that it can't start itself
// as the process of a probe.
var ErrNotHooked = errors.New("this program does not call probe.Asked when it starts")

// request is what the process of a probe reads from its standard input.
type request struct {
	Probe    string   `json:"probe"`
	Sabotage sabotage `json:"sabotage,omitempty"`
	Folder   string   `json:"folder,omitempty"`
	Cgroup   string   `json:"cgroup,omitempty"`  // that the process was put in
	Unified  string   `json:"unified,omitempty"` // the same of the hierarchy that counts pressure
	Stage    string   `json:"stage,omitempty"`
	Args     []string `json:"args,omitempty"`
}

// Exit statuses of [Serve].
const (
	exitServed = 0
	exitFailed = 1
	exitUsage  = 2
)

// Serve runs the one probe, or the one stage of a probe, that in asks for, writes what it
// finds to out and returns the exit status. The process is not fit for anything else
// afterwards.
func Serve(in io.Reader, out io.Writer) int {
	var r request
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		fmt.Fprintln(os.Stderr, "probe: bad request:", err)
		return exitUsage
	}
	t := newTrial(r, out)
	if r.Stage != "" {
		return t.serveStage()
	}
	p, ok := Find(r.Probe)
	if !ok {
		fmt.Fprintf(os.Stderr, "probe: there is no probe %q\n", r.Probe)
		return exitUsage
	}
	t.run(&p)
	if t.failure != nil {
		fmt.Fprintln(os.Stderr, "probe: cannot write:", t.failure)
		return exitFailed
	}
	return exitServed
}
