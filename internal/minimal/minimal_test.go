package minimal

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// It runs, and it waits for a byte.
func TestProgram(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(name, Program(PlainStack), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name)
	cmd.Stdin = strings.NewReader("x")
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	cmd = exec.Command(name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Errorf("it did not wait: %v", err)
	default:
	}
	in.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
