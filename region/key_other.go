//go:build !amd64

package region

import "syscall"

// protectionKey: only amd64 has them here.
type protectionKey int

const noKey protectionKey = 0

func newKey() (protectionKey, error)    { return noKey, syscall.ENOSYS }
func (k protectionKey) free()           {}
func (k protectionKey) open(write bool) {}
func (k protectionKey) close()          {}
