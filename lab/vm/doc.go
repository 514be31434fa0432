// Package vm starts lab machines under QEMU, runs programs in them, and cuts their power.
//
// A [Config] says what a machine is. [Lab.Start] boots it, or lets it go on from a saved
// state: a machine of the same kind that has booted and waits, which takes about a tenth
// of the time. [Machine.Run] runs a program and passes its output on, [Machine.Cut] ends
// the machine as a power failure would, and [Machine.PowerOff] in an orderly way.
//
// Nothing is left behind, however the caller ends: QEMU dies with the thread that started
// it, and what a machine writes to has no name in the file system unless the caller gave
// it one.
//
// What the emulator can't show: it keeps every store to an NVDIMM at once. A missing flush
// or fence is invisible here. A power cut does lose the guest's page cache.
package vm
