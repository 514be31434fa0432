//go:build !goexperiment.runtimesecret

package region

// Erases says whether [Do] erases anything in this program.
const Erases = false

func do(fn func()) { fn() }
