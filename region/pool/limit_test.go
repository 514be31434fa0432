package pool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/region"
)

// limitVariable makes this program a child that holds secrets under a limit, see child.
const limitVariable = "SAFEVMA_POOL_LIMIT"

func TestMain(m *testing.M) {
	if args := os.Getenv(limitVariable); args != "" {
		if err := child(strings.Fields(args)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Secrets of 32 bytes under a limit for locked memory, as an ordinary user: root has none. At 200
// and 8,173 other libraries fail, which have mappings for each secret.
func TestLimits(t *testing.T) { limits(t, "resident") }

// The same with secret memory, of which a host should not use so much.
func TestLimitsSecret(t *testing.T) {
	lab.Inside(t)
	lab.Require(t, "memfd-secret")
	limits(t, "secret")
}

func limits(t *testing.T, kind string) {
	for _, tt := range []struct{ secrets, limit int }{
		{1_500, 64 << 10}, {10_000, 512 << 10}, {200, 64 << 10}, {8_173, 512 << 10}, {5 * 102, 20 << 10}, {0, 0},
	} {
		if testing.Short() && (tt.secrets == 200 || tt.secrets == 8_173) {
			continue // the same limits as before, with fewer secrets
		}
		t.Run(fmt.Sprintf("%d in %d KiB", tt.secrets, tt.limit>>10), func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", limitVariable, kind, tt.secrets, tt.limit))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

const rlimitMemlock = 8 // RLIMIT_MEMLOCK of getrlimit(2), which package syscall lacks

// child lowers its limit, becomes an ordinary user, and then allocates the secrets that must fit
// and all that do beyond, until the limit says no.
func child(args []string) error {
	secrets, err1 := strconv.Atoi(args[1])
	limit, err2 := strconv.Atoi(args[2])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := syscall.Setrlimit(rlimitMemlock, &syscall.Rlimit{Cur: uint64(limit), Max: uint64(limit)}); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		if err := sys.BecomeUser(65534); err != nil {
			return err
		}
	}
	guarantees := []region.Option{region.Resident(), region.Guarded()}
	if args[0] == "secret" {
		guarantees = []region.Option{region.Secret(), region.Resident(), region.Guarded()}
	}
	before := mappings()
	p, err := New(Options{Size: min(limit, 16<<10), Most: 1 << 24, Guarantees: guarantees})
	if limit == 0 {
		// The Go heap may have grown by a few.
		if more := mappings() - before; !errors.Is(err, region.ErrLimit) || more > 40 {
			return fmt.Errorf("without a limit to use: %v, %d mappings more", err, more)
		}
		return nil
	}
	if err != nil {
		return err
	}
	all, err := exhaust(p, secrets)
	if err != nil {
		return err
	}
	// An arena and two guards each, and what the Go runtime and a race detector took for themselves.
	if more := mappings() - before; more > 3*p.Stats().Arenas+40 {
		return fmt.Errorf("%d secrets in %d arenas have %d mappings", len(all), p.Stats().Arenas, more)
	}
	return errors.Join(again(p, all), p.Check(), p.Close())
}

// exhaust allocates until the limit says so, and looks whether all that it got is still there.
func exhaust(p *Pool, atLeast int) ([]Secret, error) {
	var all []Secret
	for {
		s, err := p.Alloc(32)
		if errors.Is(err, ErrFull) && errors.Is(err, region.ErrLimit) {
			break
		}
		if err == nil {
			err = s.Write(func(b []byte) error { binary.NativeEndian.PutUint32(b[28:], uint32(len(all))); return nil })
		}
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", len(all), err)
		}
		all = append(all, s)
	}
	if len(all) < atLeast {
		return nil, fmt.Errorf("%d secrets fit, want %d", len(all), atLeast)
	}
	fmt.Printf("%d secrets of 32 bytes, %d arenas\n", len(all), p.Stats().Arenas)
	return all, whole(all)
}

func whole(all []Secret) error {
	for i, s := range all {
		b, err := s.Bytes()
		if err == nil && binary.NativeEndian.Uint32(b[28:]) != uint32(i) {
			err = fmt.Errorf("secret %d is lost", i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again frees one secret of a full pool, and gets its place.
func again(p *Pool, all []Secret) error {
	last := len(all) - 1
	if err := all[last].Free(); err != nil {
		return err
	}
	s, err := p.Alloc(32)
	if err != nil {
		return err
	}
	if err := s.Free(); err != nil {
		return err
	}
	return whole(all[:last])
}

func mappings() int {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}
