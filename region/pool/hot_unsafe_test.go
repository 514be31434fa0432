package pool

import (
	"runtime"
	"syscall"
	"unsafe"
)

// program is struct sock_fprog of include/uapi/linux/filter.h.
type program struct {
	n       uint16
	filters *[8]byte
}

// onlyThese ends the process at the next system call of the calling thread that is none of these
// (seccomp(2)). There is no way back.
func onlyThese(numbers ...uint32) error {
	// Load the number; jump to the end for each that is allowed; kill.
	text := instruction(nil, 0x20, 0, 0, 0) // BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)
	for i, nr := range numbers {
		text = instruction(text, 0x15, uint8(len(numbers)-i), 0, nr) // BPF_JMP|BPF_JEQ|BPF_K
	}
	text = instruction(text, 0x06, 0, 0, 0x80000000) // BPF_RET|BPF_K, SECCOMP_RET_KILL_PROCESS
	text = instruction(text, 0x06, 0, 0, 0x7fff0000) // SECCOMP_RET_ALLOW
	prog := program{uint16(len(text) / 8), (*[8]byte)(unsafe.Pointer(&text[0]))}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, 38, 1, 0, 0, 0, 0); errno != 0 { // PR_SET_NO_NEW_PRIVS
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, 22, 2, uintptr(unsafe.Pointer(&prog))); errno != 0 { // PR_SET_SECCOMP, MODE_FILTER
		return errno
	}
	runtime.KeepAlive(text)
	return nil
}

func instruction(text []byte, code uint16, yes, no uint8, k uint32) []byte {
	text = append(text, byte(code), byte(code>>8), yes, no)
	return append(text, byte(k), byte(k>>8), byte(k>>16), byte(k>>24))
}
