package region

// Do runs fn, and erases what that leaves behind in registers and on the stack, and on the heap
// when the garbage collector finds it: runtime/secret, for programs that are built with
// GOEXPERIMENT=runtimesecret, on amd64 and arm64. In all others it runs fn, and [Erases] is false.
//
// It is for code that uses a secret: a region keeps what is in it, and knows nothing of what the
// code that reads it copies elsewhere.
//
//	err = r.Read(func(key []byte) error {
//		var err error
//		region.Do(func() { err = sign(key, message) })
//		return err
//	})
func Do(fn func()) { do(fn) }
