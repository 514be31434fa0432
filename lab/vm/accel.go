package vm

import (
	"fmt"
	"os"
	"strings"
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
