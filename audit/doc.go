// Package audit applies rules to the processes of a host and to the host itself, and
// returns verdicts.
//
// A run has these steps, each in a file of its own:
//
//	collect   read every process once: who it is, its VMAs, its memfds; several at a
//	          time, each pinned so that it can't become another one
//	control   show that the reading can see what it claims to: read own memory, of
//	          which the truth is known
//	join      what only shows across processes: one inode writable here and executable
//	          there (inodes), memfds and who holds and maps them (memfds), pages that a
//	          declared process shares with another (sharing), PID namespaces (pidns)
//	judge     evaluate the rules on the facts, one verdict for each rule and subject
//
// What can't be read is never left out: a process that is denied gets verdicts that say
// unknown, one that is gone stands in the coverage of the report. A requirement only
// holds where the control passed.
//
// The audit reads. It stops, signals, traces and changes no process. What it does to
// the host is listed with [Run].
package audit
