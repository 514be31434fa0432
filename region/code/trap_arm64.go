package code

// trap is BRK #0, of four bytes, which chunks are a multiple of.
var trap = []byte{0x00, 0x00, 0x20, 0xd4}
