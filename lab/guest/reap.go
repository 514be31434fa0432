package guest

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// The init is the parent of every orphan, and must wait for any child: so the ends of
// jobs come here too.
var (
	starting sync.Mutex
	ended    = ends{waiting: map[int]chan syscall.WaitStatus{}}
)

// ends hands the ends of watched processes on.
type ends struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus // protected by mu; by pid
}

// watch is called before anybody can reap the process.
func (e *ends) watch(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting[pid] = make(chan syscall.WaitStatus, 1)
}

func (e *ends) wait(pid int) syscall.WaitStatus {
	e.mu.Lock()
	c := e.waiting[pid]
	e.mu.Unlock()
	status := <-c
	e.mu.Lock()
	delete(e.waiting, pid)
	e.mu.Unlock()
	return status
}

func (e *ends) tell(pid int, status syscall.WaitStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c, ok := e.waiting[pid]; ok {
		c <- status
	}
}

// reap waits for children for ever.
func reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	for range signals {
		reapAll()
	}
}

func reapAll() {
	starting.Lock()
	defer starting.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		ended.tell(pid, status)
	}
}
