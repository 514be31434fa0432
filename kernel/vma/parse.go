package vma

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/safevma/safevma/kernel/process"
)

// parseHeader parses one line of /proc/PID/maps, without its newline, into v. Name
// borrows from line.
//
//	55f3a8a00000-55f3a8a21000 rw-p 00000000 fe:00 247026      /usr/bin/cat
//
// Name is left as the kernel wrote it: with a newline escaped as \012, and a
// backslash not escaped. The caller undoes that, see [Reader.exactName].
func parseHeader(line []byte, v *VMA) error {
	rest := line
	var ok bool
	if v.Start, rest, ok = hex(rest); !ok || !eat(&rest, '-') {
		return malformed(line, "start address")
	}
	if v.End, rest, ok = hex(rest); !ok || !eat(&rest, ' ') {
		return malformed(line, "end address")
	}
	if v.End <= v.Start {
		return malformed(line, "it ends before it starts")
	}
	if v.Perm, rest, ok = perms(rest); !ok || !eat(&rest, ' ') {
		return malformed(line, "permissions")
	}
	if v.Offset, rest, ok = hex(rest); !ok || !eat(&rest, ' ') {
		return malformed(line, "offset")
	}
	var major, minor uint64
	if major, rest, ok = hex(rest); !ok || !eat(&rest, ':') {
		return malformed(line, "device")
	}
	if minor, rest, ok = hex(rest); !ok || !eat(&rest, ' ') {
		return malformed(line, "device")
	}
	if major > 1<<32-1 || minor > 1<<32-1 {
		return malformed(line, "device")
	}
	v.Dev = Dev{Major: uint32(major), Minor: uint32(minor)}
	if v.Inode, rest, ok = decimal(rest); !ok {
		return malformed(line, "inode")
	}
	if len(rest) > 0 && rest[0] != ' ' {
		return malformed(line, "inode")
	}
	for len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	v.Name = rest
	return nil
}

func malformed(line []byte, what string) error {
	return fmt.Errorf("%w: %q: %s", process.ErrMalformed, line, what)
}

func eat(b *[]byte, c byte) bool {
	if len(*b) == 0 || (*b)[0] != c {
		return false
	}
	*b = (*b)[1:]
	return true
}

// hex parses hexadecimal digits, as many as there are.
func hex(b []byte) (v uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b); i++ {
		d := hexDigit[b[i]]
		if d < 0 {
			break
		}
		if v>>60 != 0 {
			return 0, b, false
		}
		v = v<<4 | uint64(d)
	}
	return v, b[i:], i > 0
}

var hexDigit = func() (t [256]int8) {
	for i := range t {
		t[i] = -1
	}
	for i, c := range []byte("0123456789abcdef") {
		t[c] = int8(i)
	}
	return t
}()

// decimal parses decimal digits, as many as there are.
func decimal(b []byte) (v uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		d := uint64(b[i] - '0')
		if v > (1<<64-1-d)/10 {
			return 0, b, false
		}
		v = v*10 + d
	}
	return v, b[i:], i > 0
}

func perms(b []byte) (p Perm, rest []byte, ok bool) {
	if len(b) < 4 {
		return 0, b, false
	}
	for i, c := range []byte("rwxs") {
		switch b[i] {
		case c:
			p |= 1 << i
		case '-':
			if c == 's' {
				return 0, b, false
			}
		case 'p':
			if c != 's' {
				return 0, b, false
			}
		default:
			return 0, b, false
		}
	}
	return p, b[4:], true
}

// isHeader reports whether a line of smaps begins a VMA: the names of the fields
// begin with a capital letter, an address does not.
func isHeader(line []byte) bool { return len(line) > 0 && hexDigit[line[0]] >= 0 }

var errNoColon = errors.New("field without a colon")

// parseField parses one line of smaps below a header.
func parseField(line []byte, v *VMA) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return malformed(line, errNoColon.Error())
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
	for len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	kib, unit, ok := decimal(value)
	if !ok || string(unit) != " kB" || kib > 1<<54-1 {
		return malformed(line, "want a number of kB")
	}
	*field = kib << 10
	return nil
}

// parseOddField parses what is not a number of kB, and passes over fields that this
// package does not know.
func (v *VMA) parseOddField(key, value, line []byte) error {
	switch string(key) {
	case "Size":
		kib, unit, ok := decimal(bytes.TrimLeft(value, " "))
		if !ok || string(unit) != " kB" || kib != v.Size()>>10 {
			return malformed(line, fmt.Sprintf("the addresses make it %d kB", v.Size()>>10))
		}
	case "ProtectionKey":
		k, rest, ok := decimal(bytes.TrimLeft(value, " "))
		if !ok || len(rest) != 0 || k > 255 {
			return malformed(line, "want a protection key")
		}
		v.Mem.ProtectionKey = uint8(k)
	}
	return nil
}

// field returns where the amount with the given name belongs.
func (m *Mem) field(key []byte) *uint64 {
	switch string(key) {
	case "KernelPageSize":
		return &m.KernelPageSize
	case "Rss":
		return &m.Rss
	case "Pss":
		return &m.Pss
	case "Shared_Clean":
		return &m.SharedClean
	case "Shared_Dirty":
		return &m.SharedDirty
	case "Private_Clean":
		return &m.PrivateClean
	case "Private_Dirty":
		return &m.PrivateDirty
	case "Referenced":
		return &m.Referenced
	case "Anonymous":
		return &m.Anonymous
	case "KSM":
		return &m.KSM
	case "LazyFree":
		return &m.LazyFree
	case "AnonHugePages":
		return &m.AnonHuge
	case "Shared_Hugetlb":
		return &m.SharedHugetlb
	case "Private_Hugetlb":
		return &m.PrivateHugetlb
	case "Swap":
		return &m.Swap
	case "Locked":
		return &m.Locked
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
