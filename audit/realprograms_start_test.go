package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a program may take to get ready or to end. Nothing waits this
// long when all is well.
const patience = 2 * time.Minute

// realProgram is a program that people run, and what a host needs to run it.
type realProgram struct {
	name  string
	find  func() (path string, err error)
	start func(h *realHost, path string) error
}

func realPrograms() []realProgram {
	return []realProgram{
		{"chromium", lookAny("chromium", "chromium-browser", "google-chrome"), startChromium},
		{"node", lookAny("node", "nodejs"), startNode},
		{"java", findJava, startJava},
		{"python", lookAny("python3"), startPython},
		{"postgres", findPostgres, startPostgres},
	}
}

func lookAny(names ...string) func() (string, error) {
	return func() (string, error) {
		for _, name := range names {
			if path, err := exec.LookPath(name); err == nil {
				return path, nil
			}
		}
		return "", fmt.Errorf("%s is not installed", names[0])
	}
}

// findJava wants one that compiles: programs/Hot.java is run from its source.
func findJava() (string, error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return "", err
	}
	return exec.LookPath("java")
}

// findPostgres returns the folder of its programs, which Debian keeps off the PATH.
func findPostgres() (string, error) {
	candidates, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			candidates = append(candidates, path)
		}
	}
	for _, path := range candidates {
		dir := filepath.Dir(path)
		if programs(dir, "postgres", "initdb", "psql") == nil {
			return dir, nil
		}
	}
	return "", errors.New("postgres with initdb and psql is not installed")
}

func programs(dir string, names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// Chromium is controlled through a pipe: it ends when that is closed, and opens no port.
func startChromium(h *realHost, path string) error {
	theirs, commands, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirs.Close()
	answers, theirAnswers, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirAnswers.Close()
	page, err := filepath.Abs("testdata/programs/page.html")
	if err != nil {
		return err
	}
	return h.launch(&running{
		argv: []string{path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--enable-logging=stderr", "--user-data-dir=" + h.dir("chromium"), "--remote-debugging-pipe", "file://" + page},
		ready: "hot is ready",
		extra: []*os.File{theirs, theirAnswers},
		end:   func(*running) error { return errors.Join(commands.Close(), answers.Close()) },
	})
}

func startNode(h *realHost, path string) error {
	return h.launch(&running{argv: []string{path, "testdata/programs/hot.js"}, ready: "ready"})
}

// Java keeps its heap in a memfd with this collector. It would leave a folder behind for
// its performance data.
func startJava(h *realHost, path string) error {
	return h.launch(&running{argv: []string{path, "-XX:+UseZGC", "-Xmx64m", "-XX:-UsePerfData", "testdata/programs/Hot.java"}, ready: "ready"})
}

func startPython(h *realHost, path string) error {
	return h.launch(&running{argv: []string{path, "testdata/programs/memory.py"}, ready: "ready", declared: true})
}

const postgresUser = "safevma"

// PostgreSQL refuses to run as root. It is on a socket in its folder alone. A client
// stays connected, with a query half done.
func startPostgres(h *realHost, bin string) error {
	dir := h.dir("postgres")
	var user *syscall.Credential
	if os.Geteuid() == 0 {
		const nobody = 65534
		user = &syscall.Credential{Uid: nobody, Gid: nobody}
		if err := os.Chown(dir, nobody, nobody); err != nil {
			return err
		}
	}
	data := filepath.Join(dir, "data")
	if err := h.finish(&running{
		argv: []string{filepath.Join(bin, "initdb"), "--no-sync", "--auth=trust", "--username=" + postgresUser, "--locale=C", "--encoding=UTF8", "-D", data},
		cwd:  dir, user: user,
	}); err != nil {
		return err
	}
	if err := h.launch(&running{
		argv: []string{filepath.Join(bin, "postgres"), "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + dir, "-c", "fsync=off", "-c", "shared_buffers=16MB"},
		cwd:  dir, user: user, ready: "ready to accept connections",
		end: func(r *running) error { return r.cmd.Process.Signal(syscall.SIGINT) },
	}); err != nil {
		return err
	}
	query, err := os.ReadFile("testdata/programs/query.sql")
	if err != nil {
		return err
	}
	return h.launch(&running{
		argv: []string{filepath.Join(bin, "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", dir, "-U", postgresUser, "postgres"},
		cwd:  dir, user: user, say: string(query), ready: "ready",
	})
}

// running is one started program.
type running struct {
	argv     []string
	cwd      string
	user     *syscall.Credential
	extra    []*os.File           // its descriptors from 3 on
	say      string               // to its standard input, which stays open
	ready    string               // part of the line by which it says that it is ready
	declared bool                 // it is declared a workload
	end      func(*running) error // asks it to end, beyond the end of its input

	cmd    *exec.Cmd
	stdin  *os.File
	output *os.File
	lines  *bufio.Reader
	done   chan struct{}

	mu   sync.Mutex
	said []string // its last lines; protected by mu
}

// begin starts it in a process group of its own.
func (r *running) begin(env []string) error {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return err
	}
	defer theirOut.Close()
	r.stdin, r.output, r.lines, r.done = in, out, bufio.NewReader(out), make(chan struct{})
	r.cmd = exec.Command(r.argv[0], r.argv[1:]...)
	r.cmd.Dir, r.cmd.Env, r.cmd.ExtraFiles = r.cwd, env, r.extra
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = theirIn, theirOut, theirOut
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: r.user, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go r.wait(started)
	if err := <-started; err != nil {
		in.Close()
		out.Close()
		return err
	}
	_, err = io.WriteString(in, r.say)
	return err
}

// wait keeps one thread for the life of the program, which is killed when the thread
// that started it ends.
func (r *running) wait(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := r.cmd.Start()
	started <- err
	if err == nil {
		r.cmd.Wait()
		close(r.done)
	}
}

// await reads what it prints, until it says that it is ready.
func (r *running) await() error {
	if err := r.output.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for {
		line, err := r.lines.ReadString('\n')
		r.keep(line)
		if strings.Contains(line, r.ready) {
			return r.output.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return fmt.Errorf("%s did not get ready: %w; it said:\n%s", r.argv[0], err, r.last())
		}
	}
}

const keptLines = 20

func (r *running) keep(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said = append(r.said, line); len(r.said) > keptLines {
		r.said = r.said[1:]
	}
}

func (r *running) last() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.said, "")
}

// drain takes what it prints further, so that it never waits for a reader.
func (r *running) drain() {
	for {
		line, err := r.lines.ReadString('\n')
		r.keep(line)
		if err != nil {
			return
		}
	}
}

// stop asks it to end, and reports whether it did.
func (r *running) stop() error {
	err := r.stdin.Close()
	if r.end != nil {
		err = errors.Join(err, r.end(r))
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("%s did not end when asked: killed; it said:\n%s", r.argv[0], r.last()), syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL))
		<-r.done
	}
	return errors.Join(err, r.output.Close())
}

// realHost is what was started for one test.
type realHost struct {
	temp string
	env  []string

	mu      sync.Mutex
	started []*running // protected by mu
}

// newRealHost makes the folder that the programs live in. It is not t.TempDir: the
// path of a socket may have 107 bytes only, and other users must reach it.
func newRealHost(t *testing.T) *realHost {
	t.Helper()
	temp, err := os.MkdirTemp("", "safevma-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	// Nothing of the user's own settings, and no file among the user's.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "XDG_") })
	h := &realHost{temp: temp, env: append(env, "HOME="+temp, "TMPDIR="+temp, "LC_ALL=C")}
	adoptOrphans(t)
	t.Cleanup(func() { h.stop(t) })
	return h
}

// dir makes a folder.
func (h *realHost) dir(name string) string {
	dir := filepath.Join(h.temp, name)
	os.Mkdir(dir, 0o755) // else the program says that it is missing
	return dir
}

// launch starts a program, and returns when it is ready.
func (h *realHost) launch(r *running) error {
	if err := r.begin(h.env); err != nil {
		return err
	}
	h.mu.Lock()
	h.started = append(h.started, r)
	h.mu.Unlock()
	if err := r.await(); err != nil {
		return err
	}
	go r.drain()
	return nil
}

// finish runs a program to its end.
func (h *realHost) finish(r *running) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.argv[0], r.argv[1:]...)
	cmd.Dir, cmd.Env = r.cwd, h.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: r.user}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", r.argv[0], err, out)
	}
	return nil
}

// stop ends all programs, the last one first, and checks that nothing is left of them.
func (h *realHost) stop(t *testing.T) {
	for i := len(h.started) - 1; i >= 0; i-- {
		if err := h.started[i].stop(); err != nil {
			t.Error(err)
		}
	}
	bury(t)
	if err := os.RemoveAll(h.temp); err != nil {
		t.Error(err)
	}
}
