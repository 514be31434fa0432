// Package code is executable memory for programs that make machine code: it is written, then
// published, and what executes can't be written by anybody.
//
//	a, err := code.New(64 << 10)
//	...
//	p, err := a.Add(len(machine), func(to []byte, entry uintptr) error { copy(to, machine); return nil })
//	err = a.Publish()
//	run(p.Entry())
//	err = a.Seal() // no more will come: the mapping can't be changed either
//
// # How it works
//
// An [Arena] is a reserved range of addresses between guards. What [Arena.Add] gets is written to
// a staging buffer, which is ordinary memory and is never executable. [Arena.Publish] makes the
// image of all pages in a fresh memfd, with write(2), so that no writable mapping of it ever
// exists; seals the memfd against every write (F_SEAL_WRITE, SHRINK, GROW, SEAL); reads the seals
// back; maps it over the image before, shared, readable and executable; and closes it. So the
// kernel refuses to write what executes, through mprotect(2), /proc/PID/mem, ptrace(2) and
// process_vm_writev(2) too, and no address and no inode is writable in one place and executable in
// another. The model is the kernel's own allocator for BPF programs (kernel/bpf/core.c,
// bpf_prog_pack), which writes to one buffer and executes another; there the second is patched in
// place, and here it is replaced.
//
// Code that is published stays where it is, byte for byte, in each later image: threads may
// execute it while more is published. Programs are packed in chunks of 64 bytes, as the kernel
// packs its own, and what no program has is filled with instructions that trap.
//
// # What it is good with
//
// It works under PR_SET_MDWE (systemd's MemoryDenyWriteExecute), since no mapping gains PROT_EXEC
// and none has it with PROT_WRITE; and with every value of vm.memfd_noexec, since the memfd is not
// an executable file: its pages are mapped, which that setting does not forbid. A policy that
// denies to map a memfd as executable denies this too.
//
// # What it does not do
//
// Until [Arena.Seal], who can already make system calls in this process can map something else in
// the place of the code; afterwards not. Who can call [Arena.Add] decides what executes: nobody
// checks the code. A debugger or the root of the machine reads the code, and can execute it.
//
// All methods are safe for concurrent use.
package code
