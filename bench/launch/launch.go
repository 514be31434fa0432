// Package launch has contenders that are started under the profiles of safevma run, or alone.
package launch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/safevma/safevma/bench/compare"
	"github.com/safevma/safevma/bench/measure"
	"github.com/safevma/safevma/bench/pool"
	"github.com/safevma/safevma/internal/minimal"
)

// Profiles are what n means to the contenders; "" is no launch at all.
var Profiles = []string{"", "wx", "secrets", "deterministic", "safety", "safety, kill"}

// Safevma is the name of the command in the folder of programs that are built.
const Safevma = "safevma"

// Works are the contenders by name.
var Works = map[string]func(folder string, n, ops int) (pool.Result, error){
	"run-start": start,
	"run-calls": within("run-inside-calls"),
	"run-waits": within("run-inside-waits"),

	// of a program that was started
	"run-inside-calls": calls,
	"run-inside-waits": waits,
}

const killing = "schema: safevma.profile/v1\nname: kill\nextends: [safety]\nviolation: kill\n"

// place makes a folder with the small program in it. It is in the working directory: what is in the folders
// for temporary files is not executed under the profiles.
func place() (dir string, err error) {
	if dir, err = filepath.Abs("."); err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(dir, ".safevma-run-"); err != nil {
		return "", err
	}
	return dir, errors.Join(
		os.WriteFile(filepath.Join(dir, "kill.yaml"), []byte(killing), 0o644),
		os.WriteFile(filepath.Join(dir, "small"), minimal.Program(minimal.PlainStack), 0o755))
}

// command is a program under a profile, or alone.
func command(dir string, n int, program ...string) *exec.Cmd {
	profile := Profiles[n]
	switch profile {
	case "":
		return exec.Command(program[0], program[1:]...)
	case "safety, kill":
		profile = filepath.Join(dir, "kill.yaml")
	}
	safevma := filepath.Join(os.Getenv(compare.ProgramsVariable), Safevma)
	return exec.Command(safevma, append([]string{"run", "--profile", profile, "--"}, program...)...)
}

// start starts the small program so many times, one after the other.
func start(_ string, n, ops int) (result pool.Result, err error) {
	dir, err := place()
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err != nil {
		return result, err
	}
	ops = max(ops/10, 1) // one takes so much longer than what else is measured
	var clock measure.Clock
	for range ops {
		cmd := command(dir, n, filepath.Join(dir, "small"))
		var said bytes.Buffer
		cmd.Stderr = &said
		clock.Start()
		err := cmd.Run()
		clock.Stop()
		if err != nil {
			return result, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
		}
	}
	return pool.Result{Measures: []measure.Measure{clock.Measure("start", ops)}}, nil
}

// within has a copy of this program do a work, and returns what that has measured.
func within(work string) func(folder string, n, ops int) (pool.Result, error) {
	return func(_ string, n, ops int) (pool.Result, error) { return copied(work, n, ops) }
}

func copied(work string, n, ops int) (result pool.Result, err error) {
	dir, err := place()
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err != nil {
		return result, err
	}
	program := filepath.Join(dir, "bench")
	if err := copyOf(program); err != nil {
		return result, err
	}
	var said bytes.Buffer
	cmd := command(dir, n, program, "contender", work, "0", strconv.Itoa(ops), dir)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return result, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	result.Measures, result.Notes, err = measure.Parse(bytes.NewReader(out))
	return result, err
}

// copyOf writes this program to a file.
func copyOf(name string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}
