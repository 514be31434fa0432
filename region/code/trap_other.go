//go:build !amd64 && !arm64

package code

// trap is not known.
var trap []byte
