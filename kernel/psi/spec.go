package psi

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says whose stalls count.
type Kind string

// The kinds.
const (
	Some Kind = "some" // at least one task waits
	Full Kind = "full" // all that could run wait
)

// Resource is what tasks wait for.
type Resource string

// The resources; interrupts (since Linux 6.1, where the time of interrupts is counted) have
// the kind Full alone.
const (
	Memory Resource = "memory"
	IO     Resource = "io"
	CPU    Resource = "cpu"
	IRQ    Resource = "irq"
)

// Resources returns all resources, memory first.
func Resources() []Resource { return []Resource{Memory, IO, CPU, IRQ} }

// Spec is what a trigger waits for: that tasks stall for Stall or longer within Window.
type Spec struct {
	Kind   Kind
	Stall  time.Duration
	Window time.Duration
}

// The bounds of a window (Documentation/accounting/psi.rst), and the rule for whom
// CAP_SYS_RESOURCE is missing.
const (
	WindowMin          = 500 * time.Millisecond
	WindowMax          = 10 * time.Second
	WindowUnprivileged = 2 * time.Second
)

// ErrSpec: the kernel would refuse such a trigger from anybody.
var ErrSpec = errors.New("no such trigger")

// Validate says why the kernel would refuse the trigger, whoever asks: wraps [ErrSpec].
func (s Spec) Validate() error {
	switch {
	case s.Kind != Some && s.Kind != Full:
		return fmt.Errorf("%w: kind %q, want some or full", ErrSpec, string(s.Kind))
	case s.Window < WindowMin || s.Window > WindowMax:
		return fmt.Errorf("%w: a window of %v, want %v to %v", ErrSpec, s.Window, WindowMin, WindowMax)
	case s.Stall < time.Microsecond || s.Stall > s.Window:
		return fmt.Errorf("%w: %v of %v: want a part of the window", ErrSpec, s.Stall, s.Window)
	}
	return nil
}

// Unprivileged reports whether anybody may set the trigger.
func (s Spec) Unprivileged() bool { return s.Window%WindowUnprivileged == 0 }

// Widened returns the nearest trigger that anybody may set: the window rounded up to a
// multiple of 2 seconds, the threshold in proportion.
func (s Spec) Widened() Spec {
	if s.Unprivileged() || s.Window <= 0 {
		return s
	}
	wide := s
	wide.Window = min((s.Window/WindowUnprivileged+1)*WindowUnprivileged, WindowMax)
	wide.Stall = time.Duration(float64(s.Stall) * float64(wide.Window) / float64(s.Window))
	return wide
}

// String returns such as "some 150ms/1s".
func (s Spec) String() string { return fmt.Sprintf("%s %v/%v", s.Kind, s.Stall, s.Window) }

// text is what the kernel takes.
func (s Spec) text() string {
	return fmt.Sprintf("%s %d %d\x00", s.Kind, s.Stall.Microseconds(), s.Window.Microseconds())
}

// ParseSpec parses what [Spec.String] writes, and validates it.
func ParseSpec(text string) (Spec, error) {
	kind, rest, ok := strings.Cut(strings.TrimSpace(text), " ")
	stall, window, ok2 := strings.Cut(strings.TrimSpace(rest), "/")
	if !ok || !ok2 {
		return Spec{}, fmt.Errorf("%w: %q: want such as \"some 150ms/1s\"", ErrSpec, text)
	}
	s := Spec{Kind: Kind(kind)}
	var err1, err2 error
	s.Stall, err1 = time.ParseDuration(stall)
	s.Window, err2 = time.ParseDuration(window)
	if err := errors.Join(err1, err2); err != nil {
		return Spec{}, fmt.Errorf("%w: %q: %w", ErrSpec, text, err)
	}
	return s, s.Validate()
}
