// Package verify says from outside which guarantees the memory of any process shows: what is
// locked and resident, secret, sealed, guarded, kept from core dumps and from children, and what
// is writable and executable. It reads what the kernel lists, and for secret memory tries to take
// it; it changes nothing, and reads no content.
//
// What a process meant is not known here, so what it lacks is no fault by itself: only what
// contradicts itself is, such as locked memory that is not there. [Options.Require] says what all
// protected memory, or the memory at some addresses, must have.
//
// Verdicts are a reading of some milliseconds: the process runs on. Memory that changed meanwhile
// is unknown.
package verify
