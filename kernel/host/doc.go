// Package host reads what a host says of itself that bears on the safety of memory:
// how it overcommits, who could read any page as a last resort, which zones the
// kernel's own address space has, which of its defences are on.
//
// [Reader.Read] reads everything once, as [Facts]. Each fact is a [Value]: it is
// known, with the method, the source and the kernel's own text, or it is unknown,
// with the reason: absent from this kernel, denied to this reader, malformed, or not
// measurable (an experiment on something that is not the running kernel). What could
// not be read is never zero, and never a pass. What follows from the configuration or
// the command line alone is marked as [guarantee.Inference].
//
// The experiments change nothing that outlives them: a page of the reader's own memory
// is written through /proc/self/mem, a protection key and a file of secret memory are
// taken and given back, devices are opened for reading and not read. File systems of
// the kernel that are mounted nowhere (securityfs, tracefs) are read through a detached
// mount that no mount table shows.
//
// The roots are injectable, for tests and for trees copied from elsewhere; where the
// proc file system is not the running kernel's, no experiment is made, and no system
// call answers in its place.
//
// Parsing is apart from reading; the parsers take any bytes.
package host
