package medium_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What the machine code of each routine must hold. An order is one of patterns that match
// instructions: each is found after the one before.
var contracts = map[string]map[string]struct {
	order  []string // must be there, in this order
	never  string   // must not be there
	stores int      // how many instructions store to memory, if exactly
}{
	"amd64": {
		"Store8":          {order: []string{`^MOVQ [A-Z0-9]+, 0\((AX|BX|CX|DX|SI|DI|R\d+)\)`}, never: `^LOCK|^XCHG`, stores: 1},
		"Flush":           {order: []string{`^CLWB `, `^CLFLUSHOPT `, `^CLFLUSH `, `^RET`}, never: `FENCE|^LOCK|^XCHG|^MFENCE`},
		"FlushFence":      {order: []string{`^CLWB `, `^CLFLUSHOPT `, `^CLFLUSH `, `^MFENCE`, `^RET`, `^SFENCE`, `^RET`}},
		"Fence":           {order: []string{`^SFENCE`, `^RET`, `^MFENCE`, `^RET`}},
		"Stream":          {order: []string{`^MOVNTIQ? `, `^MOVNTDQ `, `^RET`}, never: `FENCE|^LOCK|^XCHG`},
		"StreamFence":     {order: []string{`^MOVNTIQ? `, `^MOVNTDQ `, `^MOVNTIQ? `, `^SFENCE`, `^RET`}},
		"StoreFlushFence": {order: []string{`^MOVQ BX, 0\(AX\)`, `^CLWB 0\(AX\)`, `^SFENCE`, `^RET`, `^CLFLUSHOPT `, `^SFENCE`, `^RET`, `^CLFLUSH `, `^MFENCE`, `^RET`}, stores: 1},
		"Copy":            {order: []string{`^MOVB AL, 0\(DI\)`, `^MOVW AX, 0\(DI\)`, `^MOVL AX, 0\(DI\)`, `^MOVQ AX, 0\(DI\)`, `^RET`}, never: `^REP|^STOS|^VMOV|^MOVNT`},
	},
	"arm64": {
		"Store8":          {order: []string{`^STLR R`}, never: `^STL?XR|^CAS|^SWP|^STLRW`},
		"Flush":           {order: []string{`^DMB `, `(?i)^(DC|SYS) `, `^RET`}, never: `^DSB`},
		"FlushFence":      {order: []string{`^DMB `, `(?i)^(DC|SYS) `, `^DSB `, `^RET`}},
		"Fence":           {order: []string{`^DSB `, `^RET`}},
		"Stream":          {order: []string{`^STLR `, `^DMB `, `(?i)^(DC|SYS) `, `^RET`}, never: `^DSB`},
		"StreamFence":     {order: []string{`^STLR `, `^DMB `, `(?i)^(DC|SYS) `, `^DSB `, `^RET`}},
		"StoreFlushFence": {order: []string{`^STLR `, `^DMB `, `(?i)^(DC|SYS) `, `^DSB `, `^RET`}},
		"Copy":            {order: []string{`^STLRB `, `^STLRH `, `^STLRW `, `^STLR `, `^RET`}, never: `^STP |^MOVD R7, \(`},
	},
}

// The machine code is what a failure meets: the assembler's and the linker's output is held
// against what each routine promises, for both architectures.
func TestMachineCode(t *testing.T) {
	for arch, routines := range contracts {
		t.Run(arch, func(t *testing.T) {
			code := disassemble(t, arch)
			for name, want := range routines {
				found := code[name]
				if len(found) == 0 {
					t.Errorf("%s is not in the binary", name)
					continue
				}
				if wrong := check(found, want.order, want.never, want.stores); wrong != "" {
					t.Errorf("%s: %s in\n\t%s", name, wrong, strings.Join(found, "\n\t"))
				}
			}
		})
	}
}

// What flushes or streams in several calls fences in the end.
func TestCallsFence(t *testing.T) {
	for _, arch := range []string{"amd64", "arm64"} {
		code := disassemble(t, arch)
		for name, orders := range map[string][][]string{
			"flushAllFence":    {{`^CALL \S*/line\.Flush\b|^CALL \S*Medium\)\.flush\b`, `^CALL \S*/line\.Fence\b`}},
			"streamFence":      {{`^CALL \S*/line\.Stream\b|^CALL \S*Medium\)\.stream\b`, `^CALL \S*/line\.Fence\b`}},
			"store8FlushFence": {{`^MOVQ |^STLR `, `^CALL \S*/line\.Fence\b`}, {`^CALL \S*/line\.StoreFlushFence\b`}},
		} {
			for _, order := range orders {
				if wrong := check(code[name], order, "", 0); wrong != "" {
					t.Errorf("%s, %s: %s in\n\t%s", arch, name, wrong, strings.Join(code[name], "\n\t"))
				}
			}
		}
	}
}

// The control: code with a fault is refused.
func TestMachineCodeCanFail(t *testing.T) {
	good := []string{"MOVQ BX, 0(AX)", "CLWB 0(AX)", "SFENCE", "RET"}
	order := []string{`^MOVQ BX, 0\(AX\)`, `^CLWB `, `^SFENCE`, `^RET`}
	if wrong := check(good, order, `^XCHG`, 1); wrong != "" {
		t.Errorf("correct code is refused: %s", wrong)
	}
	for name, code := range map[string][]string{
		"no fence":            {"MOVQ BX, 0(AX)", "CLWB 0(AX)", "RET"},
		"fence before flush":  {"MOVQ BX, 0(AX)", "SFENCE", "CLWB 0(AX)", "RET"},
		"store after flush":   {"CLWB 0(AX)", "MOVQ BX, 0(AX)", "SFENCE", "RET"},
		"two stores":          {"MOVL BX, 0(AX)", "MOVQ BX, 0(AX)", "CLWB 0(AX)", "SFENCE", "RET"},
		"hidden fence":        {"MOVQ BX, 0(AX)", "CLWB 0(AX)", "XCHGQ BX, 0(CX)", "SFENCE", "RET"},
		"one byte at a time":  {"MOVB BL, 0(AX)", "CLWB 0(AX)", "SFENCE", "RET"},
		"a jump past a fence": {"MOVQ BX, 0(AX)", "CLWB 0(AX)", "RET", "SFENCE", "RET"},
	} {
		if check(code, order, `^XCHG`, 1) == "" {
			t.Errorf("%s: accepted", name)
		}
	}
}

// check returns what is wrong with the instructions of a routine. A return that the order
// does not name is a way out that was not thought of.
func check(code, order []string, never string, stores int) string {
	if never != "" {
		if i := slices.IndexFunc(code, regexp.MustCompile(never).MatchString); i >= 0 {
			return fmt.Sprintf("%q must not be there", code[i])
		}
	}
	at := 0
	for _, pattern := range order {
		i := slices.IndexFunc(code[at:], regexp.MustCompile(pattern).MatchString)
		if i < 0 {
			return fmt.Sprintf("no %q after %q", pattern, order)
		}
		at += i + 1
	}
	if got, want := count(code, `^RET`), count(order, `\^RET`); got != want && want > 0 {
		return fmt.Sprintf("%d returns, not %d", got, want)
	}
	if got := count(code, `^(MOV|VMOV|X|STOS)\w* [^(]+, -?(0x)?[0-9a-f]*\(([^S)][^)]*|SI)\)`); stores > 0 && got != stores {
		return fmt.Sprintf("%d stores, not %d", got, stores)
	}
	return ""
}

func count(lines []string, pattern string) int {
	n, re := 0, regexp.MustCompile(pattern)
	for _, l := range lines {
		if re.MatchString(l) {
			n++
		}
	}
	return n
}

// disassemble returns the instructions of each routine, as built for arch.
func disassemble(t *testing.T, arch string) map[string][]string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command, whose objdump disassembles: ", err)
	}
	binary := filepath.Join(t.TempDir(), "medium.test")
	build := exec.Command(goTool, "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("the package can't be built here: %v\n%s", err, out)
	}
	out, err := exec.Command(goTool, "tool", "objdump", "-s", `medium/internal/line\.[A-Z]|medium\.\(\*Medium\)\.(Store8|flushAllFence|streamFence|store8FlushFence)$`, binary).Output()
	if err != nil {
		t.Fatalf("objdump: %v", err)
	}
	return routines(string(out))
}

var (
	headline    = regexp.MustCompile(`^TEXT \S+/(?:line\.(\w+)(?:\.abi0)?\(SB\) \S+\.s|medium\.\(\*Medium\)\.(Store8|flushAllFence|streamFence|store8FlushFence)\(SB\) .*)$`)
	instruction = regexp.MustCompile(`^\s+\S+:\d+\s+0x[0-9a-f]+\s+([0-9a-f]+)\s+(\S.*?)\s*$`)
	// The disassembler does not know these, but for the last. Encodings from the Intel SDM.
	encodings = map[string]string{"660fae30": "CLWB 0(AX)", "660fae38": "CLFLUSHOPT 0(AX)", "0fae38": "CLFLUSH 0(AX)"}
)

// routines parses what objdump writes. Wrappers that the compiler made are left out.
func routines(text string) map[string][]string {
	all := map[string][]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "TEXT ") {
			name = ""
			if m := headline.FindStringSubmatch(line); m != nil {
				name = m[1] + m[2]
			}
		} else if m := instruction.FindStringSubmatch(line); m != nil && name != "" {
			text := m[2]
			if known := encodings[m[1]]; known != "" {
				text = known
			}
			all[name] = append(all[name], text)
		}
	}
	return all
}
