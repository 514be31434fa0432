package vm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// chooseAccel takes KVM where a machine has booted with it. The answer is kept for as
// long as this host runs.
func (l *Lab) chooseAccel(ctx context.Context, c Config) (Accel, error) {
	if c.Arch != hostArch || !mayHaveKVM() {
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
