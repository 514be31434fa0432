package region

import (
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region/internal/view"
)

// Scrub looks at regions again and again, so that corruption is found within a declared time
// (SV-INT-03): at the canaries of Guarded regions, and at the content of ReadOnly ones, whose CRC
// it knows. Its methods may be called concurrently.
type Scrub struct {
	within time.Duration
	found  func(*Region, error)
	stop   func() // closes ending
	ending chan struct{}
	ended  sync.WaitGroup
	bait   [64]byte // no canaries: each round must find it damaged

	mu      sync.Mutex // protects what follows
	regions map[*Region]*scrubbed
	rounds  uint64
	blind   uint64 // rounds that did not find the bait
}

// scrubbed is what is known of a region.
type scrubbed struct {
	crc     uint32
	last    time.Duration // when it was looked at, on the clock of this package
	longest time.Duration // between two looks
	looks   uint64
	failed  error
}

// StartScrub starts to look at what [Scrub.Add] adds, at each region twice within the given time,
// in a goroutine of its own. It calls found once for each region that is corrupt, from that
// goroutine: found may close the region, and must not call Stop. A window to write that is open
// for long makes a round wait.
func StartScrub(within time.Duration, found func(*Region, error)) (*Scrub, error) {
	if within < time.Millisecond || found == nil {
		reason := fmt.Sprintf("every %s: a millisecond is the least, and somebody must be told", within)
		return nil, &Error{Op: "scrub", Reason: reason, Err: ErrSize}
	}
	s := &Scrub{within: within, found: found, ending: make(chan struct{}), regions: map[*Region]*scrubbed{}}
	s.stop = sync.OnceFunc(func() { close(s.ending) })
	s.ended.Go(s.run)
	return s, nil
}

// Add takes a region in. One without canaries and not ReadOnly is refused with [ErrConflict]: there
// would be nothing to look at. A closed one leaves by itself.
func (s *Scrub) Add(r *Region) error {
	if r.has&(guarded|readOnly) == 0 {
		return &Error{Op: "scrub", Reason: "it is neither Guarded nor ReadOnly: its corruption would not show", Err: ErrConflict}
	}
	crc, err := r.scrub()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regions[r] = &scrubbed{crc: crc, last: time.Since(clock)}
	return nil
}

// Remove takes a region out.
func (s *Scrub) Remove(r *Region) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.regions, r)
}

// Stop ends the goroutine, and waits for it.
func (s *Scrub) Stop() {
	s.stop()
	s.ended.Wait()
}

func (s *Scrub) run() {
	ticks := time.NewTicker(s.within / 2)
	defer ticks.Stop()
	for {
		select {
		case <-s.ending:
			return
		case <-ticks.C:
			s.round()
		}
	}
}

// round looks at each region once.
func (s *Scrub) round() {
	s.mu.Lock()
	all := make([]*Region, 0, len(s.regions))
	for r := range s.regions {
		all = append(all, r)
	}
	s.rounds++
	if firstDamage(s.bait[:]) < 0 {
		s.blind++
	}
	s.mu.Unlock()
	for _, r := range all {
		s.look(r)
	}
}

func (s *Scrub) look(r *Region) {
	crc, err := r.scrub()
	s.mu.Lock()
	known, ok := s.regions[r]
	if !ok || known.failed != nil {
		s.mu.Unlock()
		return
	}
	if errors.Is(err, ErrClosed) {
		delete(s.regions, r)
		s.mu.Unlock()
		return
	}
	now := time.Since(clock)
	known.longest = max(known.longest, now-known.last)
	known.last = now
	known.looks++
	if err == nil && crc != known.crc {
		err = &Error{Op: "scrub", Guarantee: readOnly.String(), Requirement: canaryRequirement,
			Reason: fmt.Sprintf("the CRC of its content is %08x, and was %08x", crc, known.crc), Err: ErrCorrupt}
	}
	known.failed = err
	s.mu.Unlock()
	if err != nil {
		s.found(r, err)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// scrub checks the canaries, and returns the CRC of what can't change.
func (r *Region) scrub() (crc uint32, err error) {
	if err := r.enter("scrub", false); err != nil {
		return 0, err
	}
	if r.has.has(guarded) {
		err = r.checkCanaries("scrub")
	}
	if r.has.has(readOnly) {
		crc = crc32.Checksum(r.data, castagnoli)
	}
	return crc, firstError(r.leave("scrub", false), err)
}

// Verdicts says of each region whether it was looked at often enough since it was added: the
// longest time between two looks, or since the last, is the longest for which corruption could
// have stood unseen. One that is corrupt is broken.
func (s *Scrub) Verdicts() []guarantee.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	var verdicts []guarantee.Verdict
	for r, known := range s.regions {
		verdicts = append(verdicts, s.verdict(r, known))
	}
	return verdicts
}

func (s *Scrub) verdict(r *Region, known *scrubbed) guarantee.Verdict {
	now := time.Since(clock)
	longest := max(known.longest, now-known.last)
	looks := fmt.Sprintf("%d looks, %s between two at most, %s declared", known.looks, longest, s.within)
	v := guarantee.Verdict{
		Requirement: canaryRequirement, Rule: "region-scrubbed", Status: guarantee.Holds, Severity: guarantee.High,
		Subject: r.subject(), Method: guarantee.Read,
		Observation: guarantee.Observation{Source: "canaries and CRC", Raw: []string{looks}, Total: 1},
		Control:     view.Passed("in each of %d rounds a place without canaries was found damaged", s.rounds),
		Window:      guarantee.Since(time.Now().Add(known.last - now)),
		Message:     "corruption is found within the declared time",
	}
	switch {
	case known.failed != nil:
		v.Status, v.Message = guarantee.Broken, guarantee.Text(known.failed.Error())
	case longest > s.within:
		v.Status, v.Message = guarantee.Broken, "it was not looked at in time"
	case known.looks == 0 || s.rounds == 0:
		v.Status, v.Message = guarantee.Unknown, "it was not looked at yet"
	case s.blind > 0:
		v.Control = view.Failed("in %d of %d rounds a place without canaries was taken for whole", s.blind, s.rounds)
		v.Status, v.Message = guarantee.Unknown, "the look finds nothing"
	}
	return v
}
