// Package fsck checks pools: what is stored against its checksums, what is said twice against each
// other, and what roots reach against what is allocated. It changes nothing, and whatever the bytes
// are, it ends and says what it found.
//
//	m, err := medium.Open(name, medium.Options{ReadOnly: true, Sparse: true})
//	...
//	report, err := fsck.Check(ctx, m)
//
// A problem has a kind, a place, what is wrong there, and what to do. What one problem explains is
// not reported again: references into what is damaged are not dangling, and when something
// that may hold references can't be read, objects that nothing else refers to are not called leaks,
// but counted as unjudged.
//
// A pool that was not closed is checked as it will be when it is opened: with its log replayed, in
// memory. Where the log itself is damaged, the pool can't be opened, and the rest is not judged.
//
// The memory it takes is that of a [pmem.Reader], some hundred bytes for each span that is in use,
// and three bits for each slot.
package fsck
