package region

import "unsafe"

// overwrite makes the bytes of a string zero, for all who hold it. It was made on the Go heap: a
// constant could not be written.
func overwrite(s string) { clear(unsafe.Slice(unsafe.StringData(s), len(s))) }
