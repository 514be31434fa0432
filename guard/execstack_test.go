package guard_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/safevma/safevma/internal/minimal"
)

// TestExecutableStack: execve gives a program that is linked so a stack that is writable and executable,
// whatever the rules: it is seen, and not started.
func TestExecutableStack(t *testing.T) {
	dir := filepath.Dir(victim(t))
	for name, flags := range map[string]uint32{"plain": minimal.PlainStack, "executable": minimal.ExecutableStack} {
		file := filepath.Join(dir, "stack-"+name)
		if err := os.WriteFile(file, minimal.Program(flags), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(file).Run(); err != nil {
			t.Fatalf("%s without rules: %v", name, err)
		}
		out, err := launcher("wx", leftOut(), file).CombinedOutput()
		if name == "plain" && err != nil {
			t.Errorf("%s: %v, %s", name, err, out)
		}
		if name == "executable" && (err == nil || !bytes.Contains(out, []byte("noexecstack"))) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}
