package main

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// registers asks pmem of types, and prints the lines of those that it refuses.
const registers = `package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/safevma/safevma/pmem"
)

type (
	number  uint16
	padded  struct { A uint64; B uint8 }
	nested  struct { A [2]struct{ S string }; B bool }
	chain   struct { Next pmem.Ref[chain]; Text pmem.Ref[pmem.Bytes] }
	pair[T any] struct { A, B T }
	none    [0]*int
	atomics struct { N atomic.Uint64; _ [4]uint8 }
	rows    struct { List [2][2048]padded }
	tooMany struct { List [2][2049]padded }
	bytes   struct { List [1 << 20]uint8 }
	alias   = *padded
)

func refused(err error) {
	if err != nil {
		_, _, line, _ := runtime.Caller(1)
		fmt.Println("line", line)
	}
}

func main() {
	refused(pmem.Register[number]())
	refused(pmem.Register[padded]())
	refused(pmem.Register[nested]())
	refused(pmem.Register[chain]())
	refused(pmem.Register[pair[int32]]())
	refused(pmem.Register[pair[int]]())
	refused(pmem.Register[none]())
	refused(pmem.Register[atomics]())
	refused(pmem.Register[rows]())
	refused(pmem.Register[tooMany]())
	refused(pmem.Register[bytes]())
	refused(pmem.Register[alias]())
	refused(pmem.Register[bool]())
	refused(pmem.Register[int8]())
	refused(pmem.Register[float32]())
	refused(pmem.Register[complex128]())
	refused(pmem.Register[int]())
	refused(pmem.Register[uint]())
	refused(pmem.Register[uintptr]())
	refused(pmem.Register[string]())
	refused(pmem.Register[any]())
	refused(pmem.Register[error]())
	refused(pmem.Register[unsafe.Pointer]())
	refused(pmem.Register[func()]())
	refused(pmem.Register[chan int]())
	refused(pmem.Register[map[int8]int8]())
	refused(pmem.Register[[]uint8]())
	refused(pmem.Register[*uint8]())
	refused(pmem.Register[[3]uint8]())
	refused(pmem.Register[[3]*uint8]())
	refused(pmem.Register[struct{ A uint8 }]())
	refused(pmem.Register[struct{}]())
	refused(pmem.Register[[2]struct{ A uint8 }]())
	refused(pmem.Register[time.Time]())
	refused(pmem.Register[time.Duration]())
	refused(pmem.Register[time.Month]())
	refused(pmem.Register[pmem.Ref[padded]]())
}
`

// The analyser refuses what the library refuses, and nothing else.
func TestRefusedAlike(t *testing.T) {
	if found, _ := filepath.Glob("../../pmem/*.go"); len(found) == 0 {
		t.Skip("there is no package pmem in this tree")
	}
	tool := filepath.Join(t.TempDir(), "safevma-vet")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := module{t, t.TempDir()}
	m.init("../..")
	m.write("main.go", registers)
	out, ok := m.run("go", "run", ".")
	if !ok {
		t.Fatal(out)
	}
	want := lines(regexp.MustCompile(`line (\d+)`), out)
	out, _ = m.run(tool, "./...")
	if got := lines(regexp.MustCompile(`main.go:(\d+):\d+: .* can't live in a pool`), out); !slices.Equal(got, want) {
		t.Errorf("the analyser refuses lines %v, the library %v, of\n%s\n%s", got, want, registers, out)
	}
	if n := strings.Count(registers, "pmem.Register["); len(want) == 0 || len(want) == n {
		t.Errorf("the library refuses %d of %d types", len(want), n)
	}
}

func lines(re *regexp.Regexp, text string) []string {
	var list []string
	for _, m := range re.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return list
}
