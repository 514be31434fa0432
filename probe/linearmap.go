package probe

import (
	"bufio"
	"encoding/binary"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"
)

// kernelWord reads a variable of the kernel, of 8 bytes, by the same BPF helper that probes use.
func (t *trial) kernelWord(at uint64, name string) uint64 {
	var halves []byte
	for half := range uint64(2) {
		if rc := t.runOnce(reader(asm.FnProbeReadKernel, at+4*half, asm.Return())); int32(rc) < 0 {
			t.stop(Missing, "reading %s: %s", name, answerErrno(-int32(rc)))
		}
		n := t.runOnce(reader(asm.FnProbeReadKernel, at+4*half, asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word), asm.Return()))
		halves = binary.NativeEndian.AppendUint32(halves, n)
	}
	return binary.NativeEndian.Uint64(halves)
}

// symbol returns the address of a symbol of the kernel, and 0 where it has none.
func (t *trial) symbol(name string) uint64 {
	f, err := os.Open("/proc/kallsyms")
	t.must("/proc/kallsyms", err)
	defer f.Close()
	known := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		addr, err := strconv.ParseUint(fields[0], 16, 64)
		known = known || err == nil && addr != 0
		if fields[2] == name && err == nil && addr != 0 {
			return addr
		}
	}
	if !known {
		t.stop(Privilege, "/proc/kallsyms hides addresses (CAP_SYSLOG, kernel.kptr_restrict)")
	}
	return 0
}

// firstModule returns where the first module of the list is; without one, where the area
// begins: there the kernel has BPF programs.
func firstModule(area uint64) uint64 {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return area
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for _, field := range strings.Fields(line) {
		if at, err := strconv.ParseUint(field, 0, 64); err == nil && at > area {
			return at
		}
	}
	return area
}
