package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// inNamespace runs the named part of TestInNamespace as root in namespaces of its own,
// and returns what it found of each fact.
func inNamespace(t *testing.T, part string, flags uintptr) map[string]seen {
	t.Helper()
	f, _ := readLive(t)
	needRoot(t, f)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestInNamespace$", "-test.count=1")
	cmd.Env = append(os.Environ(), "SAFEVMA_HOST_PART="+part, "SAFEVMA_HOST_DIR="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("no namespaces can be made here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr.Bytes())
	}
	_, found, ok := strings.Cut(string(out), "found: ")
	if !ok {
		t.Fatalf("found nothing:\n%s", out)
	}
	facts := map[string]seen{}
	if err := json.NewDecoder(strings.NewReader(found)).Decode(&facts); err != nil {
		t.Fatal(err)
	}
	return facts
}

type seen struct {
	Source string
	Reason Reason
	Why    string
}

// TestInNamespace is what inNamespace runs. Its mounts are in a mount namespace of its
// own, and end with it.
func TestInNamespace(t *testing.T) {
	dir, part := os.Getenv("SAFEVMA_HOST_DIR"), os.Getenv("SAFEVMA_HOST_PART")
	if part == "" {
		t.Skip("runs for other tests")
	}
	private(t)
	r := New("", dir) // nothing is mounted below this sysfs
	switch part {
	case "elsewhere":
		mountAt(t, "securityfs", filepath.Join(dir, "with space"))
	case "pidns":
		r.Proc = filepath.Join(dir, "proc")
		mountAt(t, "proc", r.Proc)
	}
	_, facts := readAll(t, r)
	found := map[string]seen{}
	for name, fact := range facts {
		s := seen{Source: fact.Source, Reason: ReasonOf(fact.Err)}
		if fact.Err != nil {
			s.Why = fact.Err.Error()
		}
		found[name] = s
	}
	b, err := json.Marshal(found)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("found: " + string(b) + "\n"); err != nil {
		t.Fatal(err)
	}
}

// private makes the mounts of this namespace its own, and takes away those of the file
// systems in question.
func private(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	mounts, err := read("/proc/self/mountinfo", parseMountinfo).Get()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.fstype == "securityfs" || m.fstype == "tracefs" {
			if err := syscall.Unmount(m.point, syscall.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func mountAt(t *testing.T, fstype, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(fstype, dir, fstype, 0, ""); err != nil {
		t.Fatal(err)
	}
}

// A pseudo file system that is mounted at another place is read there, by its own path.
func TestMountedElsewhere(t *testing.T) {
	facts := inNamespace(t, "elsewhere", syscall.CLONE_NEWNS)
	if lsms := facts["security.lsms"]; lsms.Reason != "" || !strings.HasSuffix(lsms.Source, "/with space/lsm") {
		t.Errorf("%+v", lsms)
	}
}

// From a pid namespace of a container nobody sees whether the host has tracefs mounted,
// and with which options: then it is not mounted anew, not even detached, since that
// would reset them. securityfs has no options, and is.
func TestNoMountThatResets(t *testing.T) {
	facts := inNamespace(t, "pidns", syscall.CLONE_NEWNS|syscall.CLONE_NEWPID)
	if uprobes := facts["last_readers.uprobes"]; uprobes.Reason != Denied || !strings.Contains(uprobes.Why, "cannot be seen from this pid namespace") {
		t.Errorf("uprobes %+v", uprobes)
	}
	if lsms := facts["security.lsms"]; lsms.Reason != "" || !strings.HasPrefix(lsms.Source, "detached") && !strings.Contains(lsms.Source, "(2)") {
		t.Errorf("lsms %+v", lsms)
	}
}

// A file in the place of the kernel's is not believed: with the running kernel's proc
// file system, it must lie on the file system that its name promises.
func TestFakePseudoFile(t *testing.T) {
	r := tree(t, map[string]string{
		"sys/kernel/security/lockdown":     "none integrity [confidentiality]\n",
		"sys/kernel/tracing/uprobe_events": "",
	})
	r.Proc = "/proc"
	_, facts := readAll(t, r)
	for _, name := range []string{"security.lockdown", "last_readers.uprobes"} {
		if fact := facts[name]; fact.Value != nil || ReasonOf(fact.Err) != Malformed {
			t.Errorf("%s = %v, %v; want malformed", name, fact.Value, fact.Err)
		}
	}
}
