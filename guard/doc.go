// Package guard starts unmodified programs inside guarantees, and verifies each of them before the program
// runs its first instruction.
//
// A program is started with [Settings], which are profiles put together ([Combine]): rules, each of which
// is a mechanism of the kernel for one requirement ([Rules]). Between who asks and the program stand an
// init of a PID namespace of its own, which holds vm.memfd_noexec=2, and an init of a namespace in that,
// where the program lives and can't lower it. The order in which things are set matters, and is that of
// [Rules]: what a later rule forbids comes first, and the seccomp filter comes last.
//
// What execve(2) takes away, locks of memory and PR_SET_DUMPABLE, the program is made to do to itself: it
// is traced until its first instruction (ptrace(2), PTRACE_EVENT_EXEC), and makes the calls there as if it
// had them in its code. In the same way it is made to try what the rules forbid, beside something like it
// that they don't: what the kernel answers is the evidence. The rest is read in /proc from outside. Then it
// is let go, and nobody traces it any more.
//
// A rule that does not hold, or of which that can't be known, ends the launch with [ErrNotHeld]; only what
// is named in [Config.Without] may fail, and is said.
//
// Sources: seccomp(2), seccomp_unotify(2), pid_namespaces(7), PR_SET_MDWE(2const), mlockall(2),
// Documentation/userspace-api/mfd_noexec.rst.
package guard
