//go:build !amd64

package feature

import "runtime"

func probePKU() Result {
	return absent("PKRU is a register of amd64, and this is "+runtime.GOARCH, "")
}
