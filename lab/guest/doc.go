// Package guest is the init of a lab machine: the first process, and the only one but the
// program under test. It loads modules, mounts what programs expect, and runs the jobs
// that the runner sends over a virtio-serial port.
//
// A machine may be saved while the guest waits for its first message, and go on from
// there any number of times. Nothing that differs between two runs may therefore happen
// before [wire.Prepare]: the clock is set, random numbers are seeded and disks come up
// only then.
package guest
