package damo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/safevma/safevma/kernel/damon"
	"github.com/safevma/safevma/watch/recording"
)

// lineMost is more than any event of DAMON is as text.
const lineMost = 64 << 10

// readText reads lines such as
//
//	kdamond.0  4452 [000] 82877.315633: damon:damon_aggregated: target_id=0 nr_regions=17 140731667070976-140731668037632: 0 3
//	kdamond.0-4452  [000] ..... 82877.315633: damon_aggregated: target_id=0 …
//
// Other lines are skipped.
func readText(in io.Reader, s *sink) error {
	t := &text{sink: s, times: map[target]int64{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, lineMost), lineMost)
	number := 0
	for lines.Scan() {
		number++
		if err := t.line(lines.Bytes()); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("%w: line %d has more than %d bytes", ErrMalformed, number+1, lineMost)
	}
	return errors.Join(lines.Err(), t.assembler.Flush(t.end))
}

// text is what is known while lines are read.
type text struct {
	*sink
	assembler damon.Assembler
	entry     recording.Snapshot
	times     map[target]int64 // of the last event
}

type target struct {
	thread int
	number uint64
}

var (
	aggregated = []byte("damon_aggregated:")
	tuned      = []byte("damon_monitor_intervals_tune:")
	systemName = []byte("damon:")
)

func (t *text) line(line []byte) error {
	if at := bytes.Index(line, aggregated); at >= 0 {
		return t.aggregated(line[:at], line[at+len(aggregated):])
	}
	if at := bytes.Index(line, tuned); at >= 0 {
		return t.tuned(line[:at], line[at+len(tuned):])
	}
	t.Skipped++
	return nil
}

// origin parses what stands before the name of the event.
func origin(head []byte) (o damon.Origin, err error) {
	head = bytes.TrimRight(bytes.TrimSuffix(head, systemName), " \t")
	stamp := head[bytes.LastIndexByte(head, ' ')+1:]
	if o.Time, err = seconds(bytes.TrimSuffix(stamp, []byte(":"))); err != nil {
		return o, err
	}
	if cpu := bytes.IndexByte(head, '['); cpu > 0 { // what damo wrote itself has no numbers
		name := bytes.TrimRight(head[:cpu], " \t")
		pid := name[bytes.LastIndexAny(name, " \t-")+1:]
		o.Thread, _ = strconv.Atoi(string(pid))
	}
	return o, nil
}

// seconds parses "82877.315633" into nanoseconds, as damo does: by a float64, cut off.
func seconds(b []byte) (int64, error) {
	var n, scale uint64 = 0, 1
	point := false
	for _, c := range b {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9' || n > 1<<53/10-1:
			return slowSeconds(b)
		}
		n = n*10 + uint64(c-'0')
		if point {
			scale *= 10
		}
	}
	if n == 0 || scale > 1e15 {
		return slowSeconds(b)
	}
	return int64(float64(n) / float64(scale) * 1e9), nil // both are exact, so the quotient is the nearest
}

func slowSeconds(b []byte) (int64, error) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 0 && f <= 9e9) {
		return 0, fmt.Errorf("%w: the time %q", ErrMalformed, b)
	}
	return int64(f * 1e9), nil
}

// aggregated parses " target_id=0 nr_regions=17 140731667070976-140731668037632: 0 3". The
// age is not there in old kernels.
func (t *text) aggregated(head, tail []byte) error {
	o, err := origin(head)
	if err != nil {
		return err
	}
	e := damon.Aggregated{Origin: o}
	s := scanner{tail}
	e.Target = s.number("target_id=")
	e.Regions = s.number("nr_regions=")
	if s.rest() == "0-0: -1 -1" { // damo writes that behind a single snapshot, to say how long it took
		return nil
	}
	e.Region.Start = s.number("")
	e.Region.End = s.number("-")
	e.Region.Accesses = s.number(":")
	if s.rest() != "" {
		e.Region.Age = s.number("")
	}
	if s.left == nil || s.rest() != "" || e.Region.End < e.Region.Start {
		return fmt.Errorf("%w: %q", ErrMalformed, tail)
	}
	of := target{o.Thread, e.Target}
	if last := t.times[of]; o.Time < last {
		return fmt.Errorf("%w: time goes back by %d ns", ErrMalformed, last-o.Time)
	}
	t.times[of] = o.Time
	return t.assembler.Add(e, false, t.end)
}

func (t *text) end(s *damon.Snapshot) error {
	t.entry.Snapshot = *s
	return t.snapshot(&t.entry)
}

func (t *text) tuned(head, tail []byte) error {
	o, err := origin(head)
	if err != nil {
		return err
	}
	s := scanner{tail}
	e := damon.IntervalsTuned{Origin: o, Sample: s.number("sample_us=")}
	if s.left == nil || s.rest() != "" {
		return fmt.Errorf("%w: %q", ErrMalformed, tail)
	}
	return t.Write(&recording.Tuned{IntervalsTuned: e})
}

// scanner takes numbers off a line; left is nil after the first that is none.
type scanner struct{ left []byte }

func (s *scanner) rest() string { return string(bytes.TrimSpace(s.left)) }

// number takes a word and the number behind it.
func (s *scanner) number(word string) (n uint64) {
	b := s.left
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if !bytes.HasPrefix(b, []byte(word)) {
		s.left = nil
		return 0
	}
	b = b[len(word):]
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	digits := 0
	for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
		d := uint64(b[digits] - '0')
		if n > (1<<64-1-d)/10 {
			s.left = nil
			return 0
		}
		n = n*10 + d
		digits++
	}
	if digits == 0 {
		s.left = nil
		return 0
	}
	if s.left = b[digits:]; s.left == nil {
		s.left = []byte{}
	}
	return n
}
