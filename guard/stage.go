package guard

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// Env is the environment variable that asks a program to be a stage of a launch. See [Asked].
const Env = "SAFEVMA_GUARD_STAGE"

var asked bool

// The target confines its main thread, and executes the program from it.
func init() {
	if os.Getenv(Env) != "" {
		runtime.LockOSThread()
	}
}

// Asked reports whether this process was started to be a stage of a launch. A program that calls
// [Run] calls it first thing in main and, if it is so, does nothing but os.Exit(guard.Serve()).
func Asked() bool {
	asked = true
	return os.Getenv(Env) != ""
}

// firstFD is the first descriptor that is not a standard one. From there on stand those that the program
// is to have ([Config.Keep]), as it will have them; behind them what a stage gets.
const firstFD = 3

// Descriptors that a stage gets, behind those for the program.
const (
	orderFile = iota // a memfd with the order
	wireFile
	passFile // of the target alone: over which it passes its filter's listener
)

// exitStage is the status of a stage that failed. Why is said over the wire.
const exitStage = 125

// Serve is the life of a stage.
func Serve() int {
	stage, count, _ := strings.Cut(os.Getenv(Env), ":")
	os.Unsetenv(Env)
	kept, _ := strconv.Atoi(count) // 0 where somebody else has set it: there is no order then
	own := firstFD + uintptr(kept)
	w := newWire(os.NewFile(own+wireFile, "launcher"))
	var o order
	file := os.NewFile(own+orderFile, "order")
	_, err := file.Seek(0, 0)
	if err == nil {
		err = json.NewDecoder(file).Decode(&o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s is set, and this process is no stage of a launch: unset it\n", Env)
		return fail(w, stage, err)
	}
	// Descriptors that the launcher was started with end here too: files, and folders on mounts under no
	// rule, that the program is not to have.
	if err := sys.CloseOnExecFrom(int(own)); err != nil {
		return fail(w, stage, err)
	}
	keep := inherited(kept)
	switch stage {
	case "outer":
		return outer(w, file, &o, keep)
	case "inner":
		return inner(w, file, &o, keep)
	case "target":
		return fail(w, stage, target(w, file, os.NewFile(own+passFile, "pass"), &o))
	}
	return fail(w, stage, fmt.Errorf("there is no stage %q", stage))
}

func fail(w *wire, stage string, err error) int {
	_ = w.send(message{Failed: fmt.Sprintf("%s: %v", stage, err)}) // else who asked sees that it ended
	return exitStage
}

// next makes the command of the next stage, which gets the descriptors for the program, and its own.
func next(stage string, keep []*os.File, files ...*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"safevma-" + stage}
	cmd.Env = append(os.Environ(), Env+"="+stage+":"+strconv.Itoa(len(keep)))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = slices.Concat(keep, files)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// deaf keeps signals from a stage: the launcher passes on what is meant for the program. They are caught,
// and not ignored: what is ignored stays so when a program is executed.
func deaf() { signal.Notify(make(chan os.Signal, 1)) }

// outer is init of the namespace whose settings the program can't lower.
func outer(w *wire, file *os.File, o *order, keep []*os.File) int {
	deaf()
	if m, err := w.receive(); err != nil || !m.Go { // until it is in its cgroup
		return fail(w, "outer", fmt.Errorf("the launcher does not go on: %w", err))
	}
	if o.applies(OOMScore) {
		w.step(OOMScore, "", os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(o.Settings.OOMScore)), 0))
	}
	if o.applies(MemfdNoExec) {
		err := os.WriteFile("/proc/sys/vm/memfd_noexec", []byte("2"), 0)
		w.step(MemfdNoExec, "vm.memfd_noexec=2 above", err)
		if err != nil { // then the filter asks of each memfd what the kernel would have made of it
			delete(o.Settings.Rules, MemfdNoExec)
			o.Alone = true
			if file, err = newOrder(o); err != nil {
				return fail(w, "outer", err)
			}
		}
	}
	cmd := next("inner", keep, file, w.socket)
	if o.Settings.contained() || o.Alone {
		cmd.SysProcAttr.Cloneflags = sys.NewPID
	} else {
		cmd.SysProcAttr.Pdeathsig = 0 // when the launcher ends it still ends what the program has left
	}
	if err := cmd.Start(); err != nil {
		return fail(w, "outer", err)
	}
	w.socket.Close()
	closeAll(keep)
	for { // reap, until the inner one is gone: init ends, and with it the namespace
		var status syscall.WaitStatus
		pid, err := sys.Wait4(-1, &status, 0)
		if err != nil || pid == cmd.Process.Pid {
			return 0
		}
	}
}
