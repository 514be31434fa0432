package vma

import (
	"bytes"
	"fmt"

	"github.com/safevma/safevma/kernel/process"
)

// parseHeader parses the line of /proc/PID/maps at the begin of text into v, and returns
// its length without the newline, or what is wrong with it: also where text ends before
// the newline. Name borrows from text.
//
//	55f3a8a00000-55f3a8a21000 rw-p 00000000 fe:00 247026      /usr/bin/cat
//
// Name is left as the kernel wrote it: with a newline escaped as \012, and a
// backslash not escaped. The caller undoes that, see exactNames.
func parseHeader(text []byte, v *VMA) (length int, problem string) {
	var i int
	if v.Start, i = hex(text, 0); !at(text, i, '-') {
		return 0, "start address"
	}
	if v.End, i = hex(text, i+1); !at(text, i, ' ') {
		return 0, "end address"
	}
	if v.End <= v.Start {
		return 0, "it ends before it starts"
	}
	if v.Perm, i = perms(text, i+1); !at(text, i, ' ') {
		return 0, "permissions"
	}
	const nothing = "00000000 00:00 0 \n" // stands behind most VMAs
	i++
	if len(text)-i >= len(nothing) && string(text[i:i+len(nothing)]) == nothing {
		i += len(nothing) - 1
		v.Offset, v.Dev, v.Inode, v.Name = 0, Dev{}, 0, text[i:i]
		return i, ""
	}
	if i, problem = parseFile(text, i, v); problem != "" {
		return 0, problem
	}
	i = spaces(text, i)
	n := bytes.IndexByte(text[i:], '\n')
	if n < 0 {
		return 0, "cut off"
	}
	v.Name = text[i : i+n]
	return i + n, ""
}

// parseFile parses offset, device and inode from index i on, and returns the index behind
// them.
func parseFile(text []byte, i int, v *VMA) (next int, problem string) {
	if v.Offset, i = hex(text, i); !at(text, i, ' ') {
		return bad, "offset"
	}
	var major, minor uint64
	if major, i = hex(text, i+1); !at(text, i, ':') || major > 1<<32-1 {
		return bad, "device"
	}
	if minor, i = hex(text, i+1); !at(text, i, ' ') || minor > 1<<32-1 {
		return bad, "device"
	}
	v.Dev = Dev{Major: uint32(major), Minor: uint32(minor)}
	if v.Inode, i = decimal(text, i+1); !at(text, i, ' ') && !at(text, i, '\n') {
		return bad, "inode"
	}
	return i, ""
}

func malformed(line []byte, problem string) error {
	return fmt.Errorf("%w: %q: %s", process.ErrMalformed, line, problem)
}

// The functions below look at b from index i on, and return the index behind what they
// took, or bad. That index is good for at, which then is false.
const bad = -1

// at reports whether b has c at i.
func at(b []byte, i int, c byte) bool { return uint(i) < uint(len(b)) && b[i] == c }

// spaces passes over spaces, none too.
func spaces(b []byte, i int) int {
	for i+8 <= len(b) && string(b[i:i+8]) == "        " {
		i += 8
	}
	for i < len(b) && b[i] == ' ' {
		i++
	}
	return i
}

// hex takes hexadecimal digits, as many as there are: at least one, at most 16.
func hex(b []byte, i int) (v uint64, next int) {
	first := i
	for ; i < len(b); i++ {
		d := hexDigit[b[i]]
		if d == noDigit {
			break
		}
		v = v<<4 | uint64(d)
	}
	if i == first || i > first+16 {
		return 0, bad
	}
	return v, i
}

const noDigit = 0xff

var hexDigit = func() (t [256]uint8) {
	for i := range t {
		t[i] = noDigit
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = uint8(i)
	}
	return t
}()

// decimal takes decimal digits, as many as there are, at least one.
func decimal(b []byte, i int) (v uint64, next int) {
	first := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		d := uint64(b[i] - '0')
		if v > (1<<64-1-d)/10 {
			return 0, bad
		}
		v = v*10 + d
	}
	if i == first {
		return 0, bad
	}
	return v, i
}

// perms takes the four letters of the permissions.
func perms(b []byte, i int) (p Perm, next int) {
	if i > len(b)-4 {
		return 0, bad
	}
	// Without branches: they are as good as random.
	p = permBits[0][b[i]] | permBits[1][b[i+1]] | permBits[2][b[i+2]] | permBits[3][b[i+3]]
	if p&permBad != 0 {
		return 0, bad
	}
	return p, i + 4
}

const permBad Perm = 1 << 7

// permBits says what each byte means at each of the four places.
var permBits = func() (t [4][256]Perm) {
	for i, letters := range [4]string{"-r", "-w", "-x", "ps"} {
		for c := range t[i] {
			t[i][c] = permBad
		}
		t[i][letters[0]], t[i][letters[1]] = 0, 1<<i
	}
	return t
}()

// isHeader reports whether a line of smaps that begins with c begins a VMA: the names of
// the fields begin with a capital letter, an address does not.
func isHeader(c byte) bool { return hexDigit[c] != noDigit }

// parseField parses one line of smaps below a header.
func parseField(line []byte, v *VMA) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return malformed(line, "field without a colon")
	}
	key, value := line[:colon], line[colon+1:]
	if string(key) == "VmFlags" {
		parseFlags(value, v)
		return nil
	}
	field := v.Mem.field(key)
	if field == nil {
		return v.parseOddField(key, value, line)
	}
	kib, ok := kilobytes(value)
	if !ok {
		return malformed(line, "want a number of kB")
	}
	*field = kib << 10
	return nil
}

// kilobytes parses an amount such as "   12 kB". In bytes it fits an uint64, too.
func kilobytes(value []byte) (kib uint64, ok bool) {
	kib, i := decimal(value, spaces(value, 0))
	return kib, i >= 0 && string(value[i:]) == " kB" && kib < 1<<54
}

// parseOddField parses what is not a number of kB, and passes over fields that this
// package does not know.
func (v *VMA) parseOddField(key, value, line []byte) error {
	switch string(key) {
	case "Size":
		if kib, ok := kilobytes(value); !ok || kib != v.Size()>>10 {
			return malformed(line, fmt.Sprintf("the addresses make it %d kB", v.Size()>>10))
		}
	case "ProtectionKey":
		k, i := decimal(value, spaces(value, 0))
		if i != len(value) || k > 255 {
			return malformed(line, "want a protection key")
		}
		v.Mem.ProtectionKey = uint8(k)
	}
	return nil
}

// field returns where the amount with the given name belongs.
func (m *Mem) field(key []byte) *uint64 {
	for _, a := range amounts {
		if a.of != nil && a.key == string(key) {
			return a.of(m)
		}
	}
	return nil
}

// flagPresent marks that a record had a VmFlags line at all.
const flagPresent Flags = 1 << 63

func parseFlags(value []byte, v *VMA) {
	v.Flags = flagPresent
	for len(value) > 0 {
		if value[0] == ' ' {
			value = value[1:]
			continue
		}
		n := bytes.IndexByte(value, ' ')
		if n < 0 {
			n = len(value)
		}
		flag := FlagUnknown
		if n == 2 {
			if f := flagTable[value[0]][value[1]]; f != 0 {
				flag = f
			}
		}
		v.Flags |= flag
		value = value[n:]
	}
}

// flagTable is flagByCode without the hashing.
var flagTable = func() (t [256]*[256]Flags) {
	var none [256]Flags
	for i := range t {
		t[i] = &none
	}
	for code, f := range flagByCode {
		if t[code[0]] == &none {
			t[code[0]] = new([256]Flags)
		}
		t[code[0]][code[1]] = f
	}
	return t
}()

// checkRecord reports what in a record of smaps contradicts itself: then none of it
// can be believed.
func checkRecord(v *VMA) error {
	if v.Flags&flagPresent == 0 {
		return fmt.Errorf("%w: %x-%x has no VmFlags", process.ErrMalformed, v.Start, v.End)
	}
	v.Flags &^= flagPresent
	var p Perm
	for i, f := range [...]Flags{FlagRead, FlagWrite, FlagExec, FlagShared} {
		if v.Flags&f != 0 {
			p |= 1 << i
		}
	}
	// The letter s stands for VM_MAYSHARE (ms), which a shared read-only mapping of a
	// file that was opened for reading keeps while it loses VM_SHARED (sh).
	if v.Flags&FlagMayShare != 0 {
		p |= PermShared
	}
	if p != v.Perm {
		return fmt.Errorf("%w: %x-%x is %s, but its VmFlags say %s", process.ErrMalformed, v.Start, v.End, v.Perm, v.Flags)
	}
	if v.Mem.Rss > v.Size() || v.Mem.Pss > v.Mem.Rss || v.Mem.Locked > v.Mem.Rss {
		return fmt.Errorf("%w: %x-%x: Rss %d, Pss %d, Locked %d of %d bytes", process.ErrMalformed,
			v.Start, v.End, v.Mem.Rss, v.Mem.Pss, v.Mem.Locked, v.Size())
	}
	return nil
}
