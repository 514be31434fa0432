//go:build !amd64

package probe

import "runtime"

// linearMap returns where the kernel's linear map begins.
func (t *trial) linearMap() uint64 {
	t.stop(Missing, "where the linear map of %s begins is not known to this program", runtime.GOARCH)
	return 0
}

// kernelZones: where the kernel of this architecture has what is not known to this program.
var kernelZones []zone
