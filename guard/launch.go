package guard

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// Config says what to start, and how.
type Config struct {
	Settings *Settings
	// Command is the program and its arguments. The program is looked for in PATH.
	Command []string
	// Without names rules that may fail: what can't be had of them is said, and the program starts.
	Without []Rule
	// Dry goes up to the program's first instruction, and ends it there.
	Dry bool
	// Keep are descriptors that the program gets, from 3 on in their order (see [Activated]). They are
	// closed here when they were passed on. One that leads around the rules is an error.
	Keep []*os.File
	// Verdicts is called once, when the program is at its first instruction. An error ends the launch.
	Verdicts func(*Launch) error

	skip []Rule // for tests
}

// LaunchSchema is the version of [Launch] in JSON (docs/schema/launch-v1.json).
const LaunchSchema = "safevma.launch/v1"

// Launch is what was applied, and what was found of it.
type Launch struct {
	Schema   string              `json:"schema"`
	Command  []string            `json:"command"`
	PID      int                 `json:"pid"` // of the program, for the launcher
	Settings *Settings           `json:"settings"`
	Steps    []Step              `json:"steps"`
	Verdicts []guarantee.Verdict `json:"verdicts"`
}

// Errors that a caller acts on.
var (
	// ErrNotHooked: this program does not call [Asked] when it starts.
	ErrNotHooked = errors.New("this program does not call guard.Asked when it starts")
	// ErrNotHeld: a rule does not hold. The program was not started.
	ErrNotHeld = errors.New("the program was not started")
	// ErrLost: a process that stood over the program was ended, and the program with it.
	ErrLost = errors.New("the program was killed: what stood over it has ended")
	// ErrNotFound and ErrNotExecutable are about the program.
	ErrNotFound      = errors.New("no such program")
	ErrNotExecutable = errors.New("the program can't be executed")
)

// Run starts a program under rules, and returns how it ended. Each rule is verified when the program
// is at its first instruction: one that does not hold, or of which that can't be known, is an
// [ErrNotHeld], and the program has not run; but those in Without.
//
// Signals that this process gets go to the program, until it has ended. Run must not be called twice
// at the same time. It locks the calling goroutine to its thread meanwhile: the program is killed
// when that thread ends.
func Run(c Config) (syscall.WaitStatus, error) {
	if !asked {
		return 0, ErrNotHooked
	}
	if c.Settings == nil || len(c.Command) == 0 {
		return 0, errors.New("a launch takes settings and a command")
	}
	for i, f := range c.Keep {
		if err := passable(f); err != nil {
			return 0, fmt.Errorf("descriptor %d is not passed on: %w", firstFD+i, err)
		}
	}
	path, err := exec.LookPath(c.Command[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EISDIR) {
			return 0, fmt.Errorf("%w: %w", ErrNotExecutable, err)
		}
		return 0, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := launcher{config: c, without: map[Rule]bool{}}
	for _, r := range c.Without {
		l.without[r] = true
	}
	if c.Settings.Violation == Kill {
		var status syscall.WaitStatus
		if l.twin, status, err = twin(c, path); err != nil || status.Signaled() {
			return status, err
		}
	}
	return l.run(path)
}

// twin takes the same program to its first instruction under the same rules, but that a violation fails
// and does not kill, so that it can be made to try them, and returns what it saw. The status is that of a
// signal that came meanwhile.
func twin(c Config, path string) ([]observation, syscall.WaitStatus, error) {
	s := *c.Settings
	s.Violation = Errno
	l := launcher{config: Config{Settings: &s, Command: c.Command, Dry: true, skip: c.skip}}
	status, err := l.run(path)
	return l.asked, status, err
}

type launcher struct {
	config  Config
	without map[Rule]bool
	launch  Launch
	asked   []observation
	seen    map[Rule]finding
	subject guarantee.Subject
	code    []string // VMAs that are writable and executable from the start
	twin    []observation
	wire    *wire
	outer   *exec.Cmd
	group   *group
	term    terminal
	begun   bool // the program runs
	ignored []int
}

func (l *launcher) run(path string) (status syscall.WaitStatus, err error) {
	s := l.config.Settings
	l.launch = Launch{Schema: LaunchSchema, Command: l.config.Command, Settings: s, Steps: []Step{}, Verdicts: []guarantee.Verdict{}}
	if s.on(MemoryGroup) && !slices.Contains(l.config.skip, MemoryGroup) {
		if l.group, err = newGroup(s); err != nil {
			l.launch.Steps = append(l.launch.Steps, Step{MemoryGroup, "", err.Error()})
		} else {
			l.launch.Steps = append(l.launch.Steps, Step{Rule: MemoryGroup, Detail: l.group.String()})
			defer func() { err = errors.Join(err, l.group.Remove()) }()
		}
	}
	caught := l.signals()
	l.term = openTerminal()
	if err := l.start(path); err != nil {
		return 0, err
	}
	defer l.end()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, caught...)
	defer signal.Stop(signals)
	status, err = l.follow(signals)
	if errors.Is(err, errDry) {
		return 0, nil
	}
	return status, err
}

// ignoredFirst are the signals that this program was started to ignore, as far as the runtime leaves them so: it
// does that of SIGHUP and SIGINT, which nohup(1) and a shell without job control mean. Who listens to a signal later
// (signal.Notify) still has the program ignore it.
var ignoredFirst = [...]bool{syscall.SIGHUP: signal.Ignored(syscall.SIGHUP), syscall.SIGINT: signal.Ignored(syscall.SIGINT)}

// signals are those that are passed on. What is ignored already stays so, here and in the program.
func (l *launcher) signals() (caught []os.Signal) {
	for n := syscall.Signal(1); n < 32; n++ {
		switch n {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGURG, syscall.SIGCHLD, syscall.SIGTTOU, syscall.SIGTTIN:
			continue // they are not to be caught, or about this process
		}
		if signal.Ignored(n) || int(n) < len(ignoredFirst) && ignoredFirst[n] {
			l.ignored = append(l.ignored, int(n))
			continue
		}
		caught = append(caught, n)
	}
	return caught
}

// errDry ends a launch at the program's first instruction.
var errDry = errors.New("not to be started")

// end ends what is left of the stages: init of a namespace takes all that is in it along.
func (l *launcher) end() {
	_ = sys.Shutdown(l.wire.socket) // which the inner stage sees; closing it would wait for who reads from it
	l.wire.socket.Close()
	_ = l.outer.Process.Kill()
	_ = l.outer.Wait()
	l.term.back(l.launch.PID)
}

// follow hears the inner stage, and passes signals on, until the program has ended.
func (l *launcher) follow(signals <-chan os.Signal) (syscall.WaitStatus, error) {
	messages := make(chan message)
	done := make(chan struct{})
	defer close(done)
	go func() {
		defer close(messages)
		for {
			m, err := l.wire.receive()
			if err != nil {
				return
			}
			select {
			case messages <- m:
			case <-done:
				return
			}
		}
	}()
	failed := ""
	for {
		select {
		case m, ok := <-messages:
			switch {
			case !ok:
				return 0, l.notStarted(failed)
			case m.Failed != "":
				if failed == "" { // what the other stages say comes of it
					failed = m.Failed
				}
			case m.Step != nil:
				l.launch.Steps = append(l.launch.Steps, *m.Step)
			case m.Asked != nil:
				l.asked = append(l.asked, *m.Asked)
			case m.Look:
				if err := l.look(); err != nil {
					return 0, err
				}
			case m.Ready:
				if err := l.ready(); err != nil {
					return 0, err
				}
			case m.Stopped != 0:
				l.stopped(m.Stopped)
			case m.Ended != nil:
				return syscall.WaitStatus(*m.Ended), nil
			}
		case s := <-signals:
			if sig := s.(syscall.Signal); l.begun {
				l.pass(sig)
			} else if l.early(sig) {
				return syscall.WaitStatus(sig), nil
			}
		}
	}
}

// notStarted says why the stages are gone. Rules that could not be applied say most.
func (l *launcher) notStarted(failed string) error {
	if l.begun {
		return ErrLost
	}
	for _, s := range l.launch.Steps {
		if s.Err != "" && !l.without[s.Rule] {
			return fmt.Errorf("%w: rule %s: %s", ErrNotHeld, s.Rule, s.Err)
		}
	}
	if strings.Contains(failed, "execute ") {
		return fmt.Errorf("%w: %s", ErrNotExecutable, failed)
	}
	if failed == "" {
		failed = "its stages ended"
	}
	return fmt.Errorf("%w: %s", ErrNotHeld, failed)
}

// look is called when the program is at its first instruction, and can still be looked at by a user who
// is not root.
func (l *launcher) look() (err error) {
	if l.launch.PID, err = descendant(l.outer.Process.Pid, 2); err != nil {
		return err
	}
	if err := l.identify(); err != nil {
		return err
	}
	l.seen = map[Rule]finding{}
	for r := range l.config.Settings.Rules {
		if f, ok := l.outside(r); ok {
			l.seen[r] = f
		}
	}
	return l.wire.send(message{Go: true})
}

// ready is called when the program is to begin.
func (l *launcher) ready() error {
	l.verify()
	if l.config.Verdicts != nil {
		if err := l.config.Verdicts(&l.launch); err != nil {
			return fmt.Errorf("%w: its verdicts: %w", ErrNotHeld, err)
		}
	}
	if l.config.Dry {
		return errDry
	}
	for _, v := range l.launch.Verdicts {
		if v.Status != guarantee.Holds && !l.without[Rule(v.Rule)] {
			return fmt.Errorf("%w: rule %s: %s: %s", ErrNotHeld, v.Rule, v.Status, v.Message)
		}
	}
	l.term.give(l.launch.PID)
	l.begun = true
	return l.wire.send(message{Go: true})
}

// early is about a signal that comes before the program has begun, and reports whether that ends it: at
// its first instruction a program handles no signal, and one that it ignores is not caught here.
func (l *launcher) early(s syscall.Signal) (ends bool) {
	switch s {
	case syscall.SIGCONT, syscall.SIGWINCH:
		return false
	case syscall.SIGTSTP:
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		return false
	}
	return true
}

// pass sends a signal to the program.
func (l *launcher) pass(s syscall.Signal) {
	switch s {
	case syscall.SIGTSTP: // of a terminal that the program does not have
		s = syscall.SIGSTOP
	case syscall.SIGCONT:
		l.term.give(l.launch.PID)
	}
	_ = l.wire.send(message{Signal: s}) // else it has ended
}

// stopped stops this process as the program was, so that a shell takes the terminal back. A program that
// stopped because it did not have the terminal, which a shell has given to this process since, gets it.
func (l *launcher) stopped(s syscall.Signal) {
	if (s == syscall.SIGTTIN || s == syscall.SIGTTOU) && l.term.give(l.launch.PID) {
		_ = l.wire.send(message{Signal: syscall.SIGCONT})
		return
	}
	l.term.back(l.launch.PID)
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
}
