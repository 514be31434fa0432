// Package lab helps tests that need another kernel, persistent memory, or a power cut:
// what the lab, a virtual machine, has, and the machine at hand may not.
//
//	func TestPool(t *testing.T) {
//		lab.Require(t, "map-sync")
//		pool := create(t, lab.DAX(t))
//		…
//	}
//
// Such a test is skipped, with the reason, where the feature is not there. Inside the
// lab it fails in its place, if the kernel and the machine should have the feature: so
// that no test is skipped everywhere, and nobody sees it. Package feature has the names.
package lab

// T is what this package needs of a test; [testing.TB] is one.
type T interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}
