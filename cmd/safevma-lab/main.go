// Command safevma-lab runs Go tests, and other static programs, in virtual machines with
// other kernels, persistent memory and disks whose power can be cut.
//
// The same program is the init of those machines: when it finds itself to be the first
// process of one, it does that work. It must be built with CGO_ENABLED=0.
//
// Exit status of exec: that of the program, or 128 and the number of the signal that
// ended it; 124 when the time is over, 125 when the lab itself failed (the guest's kernel
// panicked, did not come up, …). A wrong flag is 2, and what goes wrong in other verbs 4.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/safevma/safevma/lab/guest"
	"github.com/safevma/safevma/lab/vm"
)

func main() {
	if guest.IsInit() {
		guest.Init()
	}
	os.Exit(run())
}

// The exit statuses.
const (
	exitUsage    = 2
	exitInternal = 4
	exitTime     = 124 // as timeout(1)
	exitLab      = 125 // the lab failed, and so nothing is known of the program
)

// exit is an error with an exit status. Without a cause there is nothing to say.
type exit struct {
	status int
	cause  error
}

// Error implements error.
func (e *exit) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.cause.Error()
}

// Unwrap returns the cause.
func (e *exit) Unwrap() error { return e.cause }

func run() int {
	err := newRoot().Execute()
	if err == nil {
		return 0
	}
	var e *exit
	if !errors.As(err, &e) { // what cobra finds wrong is about flags and arguments
		e = &exit{exitUsage, err}
	}
	if e.cause != nil {
		fmt.Fprintln(os.Stderr, "safevma-lab:", e.cause)
	}
	return e.status
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "safevma-lab",
		Short: "Run Go tests on other kernels, with persistent memory, and cut the power",
		Long: `safevma-lab runs Go test binaries, and other static programs, in virtual machines with
other kernels, emulated persistent memory (DAX) and disks whose power can be cut:

  go test -exec 'safevma-lab exec --kernel 6.12 --nvdimm ext4' ./...

It needs QEMU, and Debian's apt for kernels. See docs/lab.md.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&labDir, "dir", "", "`folder` of kernels and saved states (default: safevma-lab in the user's cache)")
	root.PersistentFlags().BoolVarP(&quiet, "quiet", "q", false, "say nothing of what takes long")
	root.AddCommand(newExec(), newKernels(), newFeatures(), newMatrix())
	return root
}

var (
	labDir string
	quiet  bool
)

// newLab returns the lab in the folder that the flags name.
func newLab() (*vm.Lab, error) {
	dir := labDir
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "safevma-lab")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &vm.Lab{Dir: dir, Init: initProgram, Say: say}, nil
}

func say(format string, args ...any) {
	if !quiet {
		fmt.Fprintf(os.Stderr, "safevma-lab: "+format+"\n", args...)
	}
}
