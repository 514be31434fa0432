package code

// trap is INT3, one byte.
var trap = []byte{0xcc}
