package sys_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/safevma/safevma/internal/sys"
)

// What the kernel says of a program is what it was loaded as; its id leads to it.
func TestBPFProgram(t *testing.T) {
	const socketFilter, name = 1, "safevma_test.15"
	prog, err := sys.BPFProgLoad(socketFilter, name, []uint64{0xb7, 0x95}) // r0 = 0; exit
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("needs CAP_BPF and BPF: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	info, err := sys.BPFProgInfo(prog)
	if err != nil {
		t.Fatal(err)
	}
	if info.Type != socketFilter || info.Name() != name || info.ID == 0 || info.LoadTime == 0 || info.Tag == [8]byte{} {
		t.Errorf("%+v", info)
	}
	next, err := sys.BPFProgNext(info.ID - 1)
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("needs CAP_SYS_ADMIN: %v", err)
	}
	if err != nil || next != info.ID {
		t.Fatalf("after %d comes %d, %v", info.ID-1, next, err)
	}
	again, err := sys.BPFProgOpen(info.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if same, err := sys.BPFProgInfo(again); err != nil || same != info {
		t.Errorf("%+v, %v; want %+v", same, err, info)
	}
	if _, err := sys.BPFProgNext(^uint32(0)); !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.EINVAL) {
		t.Errorf("after the last id: %v, want an end", err)
	}
}

// A program that does not end is refused: the verifier has looked at it.
func TestBPFProgramRefused(t *testing.T) {
	prog, err := sys.BPFProgLoad(1, "bad", []uint64{0xb7})
	if err == nil {
		prog.Close()
		t.Fatal("loaded")
	}
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSYS) {
		t.Errorf("%v, want EINVAL", err)
	}
}
