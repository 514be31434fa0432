package region_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/safevma/safevma/internal/memsearch"
	"github.com/safevma/safevma/region"
)

const secretVariable = "SAFEVMA_REGION_TEST_SECRET"

// A secret from the environment is in the region and nowhere else, in a process that was started
// with it. Before, the same search finds it where the kernel and the Go runtime put it.
func TestReadEnvironment(t *testing.T) {
	if os.Getenv(secretVariable) != "" {
		inChild(t)
		return
	}
	random := make([]byte, 16)
	rand.Read(random)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestReadEnvironment$")
	cmd.Env = append(os.Environ(), secretVariable+"="+hex.EncodeToString(random), secretVariable+"_MORE=stays")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func inChild(t *testing.T) {
	needle := memsearch.Of([]byte(os.Getenv(secretVariable)))
	if hits := find(t, needle); len(hits) < 2 {
		t.Fatalf("before, it is at %v", hits)
	}
	r, err := region.ReadEnvironment(secretVariable, region.Guarded())
	if err != nil {
		t.Fatal(err)
	}
	if !raced {
		onlyIn(t, r, needle)
	}
	if r.Size() != 32 {
		t.Errorf("%d bytes", r.Size())
	}
	if _, ok := os.LookupEnv(secretVariable); ok {
		t.Error("the variable is set")
	}
	environ, err := os.ReadFile("/proc/self/environ")
	if err != nil || !bytes.Contains(environ, []byte(secretVariable+"=\x00\x00")) || !bytes.Contains(environ, []byte("_MORE=stays")) {
		t.Errorf("%v, %q", err, environ)
	}
	_, err = region.ReadEnvironment(secretVariable)
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if os.Getenv(secretVariable+"_MORE") != "stays" {
		t.Error("another variable was changed")
	}
	_, err = region.ReadEnvironment(secretVariable + "_MORE")
	if err != nil {
		t.Error(err)
	}
	// What was set later works too.
	os.Setenv(secretVariable, "later")
	later, err := region.ReadEnvironment(secretVariable)
	if err != nil {
		t.Fatal(err)
	}
	if ok, _ := later.Equal([]byte("later")); !ok {
		t.Error("something else")
	}
	os.Setenv(secretVariable, "")
	if _, err = region.ReadEnvironment(secretVariable); !errors.Is(err, region.ErrSize) {
		t.Error(err)
	}
}
