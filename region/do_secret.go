//go:build goexperiment.runtimesecret

package region

import erase "runtime/secret"

// Erases says whether [Do] erases anything in this program.
const Erases = true

func do(fn func()) { erase.Do(fn) }
