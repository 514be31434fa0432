package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Utsname is what uname(2) says of the running kernel.
type Utsname struct {
	System  string
	Node    string
	Release string
	Version string
	Machine string
}

// Uname asks the running kernel who it is. The node name is that of the caller's UTS
// namespace.
func Uname() (Utsname, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Utsname{}, os.NewSyscallError("uname", err)
	}
	return Utsname{
		System:  unix.ByteSliceToString(u.Sysname[:]),
		Node:    unix.ByteSliceToString(u.Nodename[:]),
		Release: unix.ByteSliceToString(u.Release[:]),
		Version: unix.ByteSliceToString(u.Version[:]),
		Machine: unix.ByteSliceToString(u.Machine[:]),
	}, nil
}
