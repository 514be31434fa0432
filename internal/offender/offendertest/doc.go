// Package offendertest starts seeded offenders in tests. The test binary itself
// becomes the offender, so that nothing has to be built; its TestMain must allow it:
//
//	func TestMain(m *testing.M) { offendertest.Main(m) }
//
// A TestMain of its own calls [offender.Asked] first.
package offendertest
