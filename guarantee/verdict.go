package guarantee

import (
	"errors"
	"fmt"
	"time"
)

// Status is the outcome of one check of one requirement on one subject.
type Status string

// The four outcomes. There is no fifth: "skipped" is [Unknown], with the reason.
const (
	Holds         Status = "holds"
	Broken        Status = "broken"
	Unknown       Status = "unknown"
	NotApplicable Status = "not applicable"
)

// Statuses lists all outcomes, worst first.
func Statuses() []Status { return []Status{Broken, Unknown, Holds, NotApplicable} }

// Severity says how bad it is when a requirement is broken.
type Severity string

// The severities, mildest first when compared with [Severity.AtLeast].
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists all severities, mildest first.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// AtLeast reports whether s is as bad as floor, or worse. An unknown severity is
// treated as the worst, so that a spelling mistake never hides a finding.
func (s Severity) AtLeast(floor Severity) bool { return s.rank() >= floor.rank() }

// Valid reports whether s is one of the five severities.
func (s Severity) Valid() bool { return s.rank() < len(Severities()) }

func (s Severity) rank() int {
	for i, known := range Severities() {
		if s == known {
			return i
		}
	}
	return len(Severities())
}

// Method says how an observation was made.
type Method string

const (
	// Read is a reading of what the kernel reports, such as /proc/PID/smaps.
	Read Method = "read"
	// Probe is an attempt whose outcome was observed, such as an errno.
	Probe Method = "probe"
	// Inference follows from something else that was read, such as the kernel's
	// configuration. It is the weakest method.
	Inference Method = "inference"
)

// Kind names what a [Subject] is.
type Kind string

// The kinds of subjects.
const (
	KindHost    Kind = "host"
	KindProcess Kind = "process"
	KindInode   Kind = "inode"
	KindMemfd   Kind = "memfd"
	KindPIDNS   Kind = "pidns"
	KindRegion  Kind = "region"
	KindPool    Kind = "pool"
)

// Subject is what a verdict speaks of. A process is named by PID and StartTime
// together, since PIDs are used again.
type Subject struct {
	Kind Kind `json:"kind"`
	// PID of the process, in the PID namespace of the reader.
	PID int `json:"pid,omitempty"`
	// StartTime is when the process started: clock ticks since boot, field 22 of
	// /proc/PID/stat (proc_pid_stat(5)).
	StartTime uint64 `json:"start_time,omitempty"`
	// Name is the command name of a process, the path of an inode, the name of a
	// memfd or of a host. Bytes that are not UTF-8 are escaped as \xNN.
	Name string `json:"name"`
	// UID is the effective user id of a process, or the owner of a memfd.
	UID *uint32 `json:"uid,omitempty"`
	// Exe is the program that a process runs.
	Exe string `json:"exe,omitempty"`
	// Cgroup is the path of a process in the cgroup v2 hierarchy.
	Cgroup string `json:"cgroup,omitempty"`
	// Device ("major:minor", decimal) and Inode name a file or a memfd; Inode alone
	// names a namespace.
	Device string `json:"device,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
	// Declared is true where the user named this process as a workload of which the
	// guarantees are asked.
	Declared bool `json:"declared,omitempty"`
}

// Observation is what was seen, as the kernel said it.
type Observation struct {
	// Source names the interface: "/proc/812/smaps", "memfd_create(MFD_EXEC)".
	Source string `json:"source"`
	// Raw holds the lines, values or errnos that decide the verdict, unchanged except
	// that what is not printable UTF-8 is escaped as by [Text].
	Raw []string `json:"raw,omitempty"`
	// Total counts the observations of which Raw shows the first ones.
	Total int `json:"total"`
}

// ControlStatus says whether the check was shown able to fail.
type ControlStatus string

// The outcomes of a control.
const (
	// ControlPassed: the same method, in this run, saw a known offender.
	ControlPassed ControlStatus = "passed"
	// ControlFailed: the method did not see a known offender. Nothing that it says
	// can be believed.
	ControlFailed ControlStatus = "failed"
	// ControlAbsent: no control could be run; Detail says why.
	ControlAbsent ControlStatus = "absent"
)

// Control shows that a method can fail.
type Control struct {
	Status ControlStatus `json:"status"`
	// Detail says what was tried and seen.
	Detail string `json:"detail"`
}

// Window is the time that an observation covers. A reading is a point in time, not
// a promise: From and To are when it began and when it ended.
type Window struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Verdict is the outcome of one check.
type Verdict struct {
	// Requirement is the stable id, see [Catalogue].
	Requirement string `json:"requirement"`
	// Rule or probe that decided.
	Rule        string      `json:"rule"`
	Status      Status      `json:"status"`
	Severity    Severity    `json:"severity"`
	Subject     Subject     `json:"subject"`
	Method      Method      `json:"method"`
	Observation Observation `json:"observation"`
	Control     Control     `json:"control"`
	Window      Window      `json:"window"`
	// Message says in one sentence what was found.
	Message string `json:"message"`
	// Remedy says what to do about it.
	Remedy string `json:"remedy,omitempty"`
	// References are where to read more: kernel documents, manual pages, CWE, CVE and
	// MITRE ids.
	References []string `json:"references,omitempty"`
}

// ErrInvalid is wrapped by every error that [Verdict.Validate] returns.
var ErrInvalid = errors.New("invalid verdict")

// Validate reports the first rule of this package that v breaks.
func (v *Verdict) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s on %s %q: %s", ErrInvalid, v.Rule, v.Subject.Kind, v.Subject.Name, fmt.Sprintf(format, args...))
	}
	if _, ok := Find(v.Requirement); !ok {
		return bad("requirement %q is not in the catalogue", v.Requirement)
	}
	if !v.Severity.Valid() {
		return bad("severity %q", v.Severity)
	}
	if v.Message == "" {
		return bad("no message")
	}
	switch v.Status {
	case Holds:
		if v.Control.Status != ControlPassed {
			return bad("holds with control %q: without a control that passed it is unknown", v.Control.Status)
		}
	case Broken:
		if len(v.Observation.Raw) == 0 {
			return bad("broken without a raw observation")
		}
	case Unknown, NotApplicable:
	default:
		return bad("status %q", v.Status)
	}
	return nil
}
