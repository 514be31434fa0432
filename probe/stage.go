package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// stage is a part of an experiment that needs a process of its own: one that is born in a
// fresh namespace, or that executes a program. It returns its answers.
type stage func(t *trial, args []string) []Answer

var stages = map[string]stage{}

// serveStage runs a stage, and tells its answers.
func (t *trial) serveStage() int {
	do, ok := stages[t.request.Stage]
	if !ok {
		fmt.Fprintf(os.Stderr, "probe: there is no stage %q\n", t.request.Stage)
		return exitUsage
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		t.tell(event{Stage: do(t, t.request.Args), Done: true})
	}()
	<-done
	return exitServed
}

// stage starts this program anew for a stage, with the given further attributes of the
// process, waits for it and returns its answers. The process dies with this one.
func (t *trial) stage(name string, attr syscall.SysProcAttr, files []*os.File, args ...string) ([]Answer, error) {
	cmd := self(attr, files)
	ask, err := json.Marshal(request{Probe: t.request.Probe, Stage: name, Args: args, Folder: t.request.Folder})
	if err != nil {
		return nil, err
	}
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(ask), &out, &problems
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("stage %s: %w%s", name, err, firstLine(problems.Bytes()))
	}
	answers, reason := stageAnswers(out.Bytes())
	if reason != nil {
		return nil, fmt.Errorf("stage %s: %s: %s", name, reason.Why, reason.Detail)
	}
	if answers == nil {
		return nil, fmt.Errorf("stage %s said nothing%s", name, firstLine(problems.Bytes()))
	}
	return answers, nil
}

func stageAnswers(out []byte) (answers []Answer, reason *Reason) {
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var e event
		if dec.Decode(&e) != nil {
			return answers, reason
		}
		if e.Stage != nil {
			answers = e.Stage
		}
		if e.Reason != nil {
			reason = e.Reason
		}
	}
}

// self is this program, to be started anew in the way in which it was started.
func self(attr syscall.SysProcAttr, files []*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr, cmd.ExtraFiles = &attr, files
	return cmd
}

// inPIDNamespace are the attributes of a process in a fresh PID namespace. An ordinary
// user gets a fresh user namespace with it, in which that is allowed.
func inPIDNamespace() syscall.SysProcAttr {
	attr := syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if os.Geteuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}
