package probe

// differences says, for probes whose answers differ between kernels, what made them differ.
var differences = map[string]string{}

// Difference says what is known of why kernels differ in a probe; empty where nothing is.
func Difference(id string) string { return differences[id] }
