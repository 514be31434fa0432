package rules

import "github.com/safevma/safevma/guarantee"

// Subject is what a rule is about. It is also the name of the variable that holds the
// subject's facts.
type Subject string

// The subjects.
const (
	SubjectVMA     Subject = "vma"
	SubjectProcess Subject = "process"
	SubjectInode   Subject = "inode"
	SubjectMemfd   Subject = "memfd"
	SubjectPIDNS   Subject = "pidns"
	SubjectHost    Subject = "host"
)

// Subjects lists all subjects.
func Subjects() []Subject {
	return []Subject{SubjectVMA, SubjectProcess, SubjectInode, SubjectMemfd, SubjectPIDNS, SubjectHost}
}

// Kind returns the kind of subject that a verdict of such a rule speaks of: a mapping
// is judged as part of its process.
func (s Subject) Kind() guarantee.Kind {
	if s == SubjectVMA {
		return guarantee.KindProcess
	}
	return guarantee.Kind(s)
}

// variables are the facts that the expressions of a rule about s can use.
func (s Subject) variables() []Subject {
	switch s {
	case SubjectVMA:
		return []Subject{SubjectVMA, SubjectProcess, SubjectHost}
	case SubjectHost:
		return []Subject{SubjectHost}
	}
	return []Subject{s, SubjectHost}
}
