package wire

import (
	"time"

	"github.com/safevma/safevma/lab/machine"
)

// Greeting is the payload of [Hello].
type Greeting struct {
	Kernel string `json:"kernel"` // the release, as uname -r says it
}

// Setup is the payload of [Prepare]: what a guest that may come from a saved state can't
// know by itself.
type Setup struct {
	Now     time.Time       `json:"now"`
	Entropy []byte          `json:"entropy"` // for the kernel's random numbers
	Machine machine.Machine `json:"machine"`
}

// Job is the payload of [Run]: one program. Paths are absolute, and those of the host:
// the guest lays files where the host has them, so that arguments need no translation.
type Job struct {
	Path string   `json:"path"`
	Args []string `json:"args"` // without the program's name
	Dir  string   `json:"dir"`
	Env  []string `json:"env"`
	// UID and GID run the program as another user; 0 is root.
	UID uint32 `json:"uid,omitempty"`
	GID uint32 `json:"gid,omitempty"`
	// Bring names files and directories to send back when the program has ended, where
	// they exist.
	Bring []string `json:"bring,omitempty"`
}

// Answer says how something ended.
type Answer struct {
	Code   int    `json:"code"`             // exit status, where the program exited
	Signal int    `json:"signal,omitempty"` // the signal that ended it, or 0
	Error  string `json:"error,omitempty"`  // why it could not be done at all
}
