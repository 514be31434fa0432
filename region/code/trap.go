package code

// fillTraps fills bytes, from a chunk's begin on, with instructions that trap.
func fillTraps(b []byte) {
	for i := range b {
		b[i] = trap[i%len(trap)]
	}
}
