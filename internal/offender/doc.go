// Package offender holds the seeded offenders: programs that each break one rule of
// safe memory on purpose, in their own process, and for each one or more correct
// twins that do the nearest correct thing. An audit is tested against them: it must
// name every offender and no twin.
//
// [List] is the catalogue. [Main] runs one by name; any test binary can become an
// offender through it (see package offendertest), and cmd/offender runs them by hand:
//
//	go run ./internal/offender/cmd/offender wx
//
// # Protocol
//
// When the violation stands, the program prints one line of JSON, a [Report], on
// standard output. Then it waits until standard input ends, undoes what it did
// (files and further processes too), and exits with 0. SIGINT, SIGTERM and SIGHUP end
// it the same way. Its further processes read the same standard input and die with
// their parent, so that none is left behind when it is killed.
//
// Exit status 77 says that the violation can't be committed here: the kernel or the
// rights lack what it needs. The reason is on standard error. It is found by trying,
// never by version. 1 is a failure, 2 wrong usage.
//
// Nothing here touches anything but its own processes and files.
package offender
