// Package sys is the only place with raw system calls, ioctls and x/sys/unix.
//
// It holds thin, typed wrappers, one kernel subject a file, and what x/sys lacks:
// each structure has its layout checked at compile time and names its source.
// Nothing here decides anything; errors are plain errnos, so that callers can
// compare them with [errors.Is].
package sys
