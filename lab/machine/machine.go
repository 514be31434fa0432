// Package machine describes a lab machine: what the runner gave it, and where a test
// that runs inside finds it. The runner writes the description, the guest's init lays
// it at [File], and tests read it with [Here].
package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// File is where the description lies inside the lab, and nowhere else.
const File = "/run/safevma-lab/machine.json"

// Machine is one lab machine.
type Machine struct {
	Kernel    string `json:"kernel"` // the release, as uname -r says it
	Arch      string `json:"arch"`   // as GOARCH: amd64, arm64
	Accel     string `json:"accel"`  // what runs the instructions: tcg (emulation) or kvm
	MemoryMiB int    `json:"memory_mib"`
	CPUs      int    `json:"cpus"`
	NUMANodes int    `json:"numa_nodes"`
	// Persistence is the persistence domain that the platform tells of, in the
	// kernel's words: memory_controller, cpu_cache (eADR), or empty for none told.
	Persistence string   `json:"persistence,omitempty"`
	NVDIMMs     []NVDIMM `json:"nvdimms,omitempty"`
	Disks       []Disk   `json:"disks,omitempty"`
}

// NVDIMM is emulated persistent memory. The emulator keeps every store at once: a
// missing flush or fence can't be seen on it.
type NVDIMM struct {
	Kind string `json:"kind"` // ext4 and xfs: a DAX file system; devdax: a character device; raw: a block device that can't do DAX
	Path string `json:"path"` // the mount point of a file system, or the device
}

// Disk is a virtio-blk disk with a file system. A power cut loses what the guest had
// only in its page cache.
type Disk struct {
	FS   string `json:"fs"`   // ext4, xfs
	Path string `json:"path"` // the mount point
}

// Here returns the lab machine that this process runs in. The second result is false
// outside the lab.
func Here() (Machine, bool, error) {
	text, err := os.ReadFile(File)
	if errors.Is(err, fs.ErrNotExist) {
		return Machine{}, false, nil
	}
	if err != nil {
		return Machine{}, false, err
	}
	var m Machine
	if err := json.Unmarshal(text, &m); err != nil {
		return Machine{}, false, fmt.Errorf("%s: %w", File, err)
	}
	return m, true, nil
}
