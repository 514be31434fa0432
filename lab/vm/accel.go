package vm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Accel is what runs the guest's instructions.
type Accel string

// Kinds of acceleration. That /dev/kvm opens proves nothing: it may come from a
// hypervisor that can't run an ordinary kernel.
const (
	TCG Accel = "tcg" // emulation: works everywhere, and is slow
	KVM Accel = "kvm"
	// Auto takes KVM where a machine has booted with it, by trying once, else emulation.
	Auto Accel = "auto"
)

func (c Config) validateAccel() error {
	switch c.Accel {
	case TCG, KVM:
		return nil
	}
	return fmt.Errorf("acceleration %q: want auto, tcg or kvm", c.Accel)
}

// mayHaveKVM says whether it is worth trying: the processor tells of hardware
// virtualisation, and the device opens. Both are needed, and neither is proof.
func mayHaveKVM() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return false
	}
	flags := strings.Fields(string(text))
	hardware := false
	for _, flag := range flags {
		hardware = hardware || flag == "vmx" || flag == "svm"
	}
	if !hardware {
		return false
	}
	file, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	file.Close()
	return true
}

// chooseAccel takes KVM where a machine has booted with it. The answer is kept for as
// long as this host runs.
func (l *Lab) chooseAccel(ctx context.Context, c Config) (Accel, error) {
	if c.Arch != runtime.GOARCH || !mayHaveKVM() {
		return TCG, nil
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	proof := filepath.Join(l.Dir, "kvm-"+strings.TrimSpace(string(boot)))
	if answer, err := os.ReadFile(proof); err == nil {
		return Accel(answer), nil
	}
	answer := l.tryKVM(ctx, c)
	if ctx.Err() != nil {
		return answer, nil
	}
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return "", err
	}
	return answer, writeWhole(proof, []byte(answer))
}

// tryKVM boots a small machine with KVM, which takes two seconds where it works.
func (l *Lab) tryKVM(ctx context.Context, c Config) Accel {
	l.say("trying whether KVM really runs a kernel")
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	m, err := l.Start(ctx, Config{Kernel: c.Kernel, Arch: c.Arch, Accel: KVM, Fresh: true})
	if err != nil {
		l.say("KVM does not: %v", err)
		return TCG
	}
	m.Cut()
	return KVM
}
