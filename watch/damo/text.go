package damo

import (
	"bufio"
	"bytes"
	"encoding/binary"
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
func readText(in *bufio.Reader, s *sink) error {
	t := &text{sink: s, times: map[target]int64{}}
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return err
		}
		if len(line) > lineMost || err == bufio.ErrBufferFull {
			return fmt.Errorf("%w: line %d has more than %d bytes", ErrMalformed, number, lineMost)
		}
		if len(line) == 0 {
			return t.assembler.Flush(t.end)
		}
		if err := t.line(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
	}
}

// text is what is known while lines are read.
type text struct {
	*sink
	assembler damon.Assembler
	entry     recording.Snapshot
	times     map[target]int64 // of the last event, but for that of the line before
	last      target           // of the line before
	lastTime  int64
	name      []byte // what stood before the CPU in the line before
	thread    int
	nameAt    int    // of the event in a line
	same      []byte // what the line before said of its target
	number    uint64 // of the target
	regions   uint64 // how many it has
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
	at := t.nameAt // most lines have the name where the one before had it
	if len(line) < at || !bytes.HasPrefix(line[at:], aggregated) {
		at = bytes.Index(line, aggregated)
	}
	if at >= 0 {
		t.nameAt = at
		return t.aggregated(line[:at], line[at+len(aggregated):])
	}
	if at := bytes.Index(line, tuned); at >= 0 {
		return t.tuned(line[:at], line[at+len(tuned):])
	}
	t.Skipped++
	return nil
}

// origin parses what stands before the name of the event.
func (t *text) origin(head []byte) (o damon.Origin, err error) {
	head = bytes.TrimSuffix(head, systemName)
	for len(head) > 0 && (head[len(head)-1] == ' ' || head[len(head)-1] == ':') {
		head = head[:len(head)-1]
	}
	if o.Time, err = seconds(head[bytes.LastIndexByte(head, ' ')+1:]); err != nil {
		return o, err
	}
	if cpu := bytes.IndexByte(head, '['); cpu > 0 { // what damo wrote itself has no numbers
		if !bytes.Equal(head[:cpu], t.name) {
			t.name = append(t.name[:0], head[:cpu]...)
			name := bytes.TrimRight(t.name, " \t")
			t.thread, _ = strconv.Atoi(string(name[bytes.LastIndexAny(name, " \t-")+1:]))
		}
		o.Thread = t.thread
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

// shorts is what damo writes behind a single snapshot, to say how long it took.
var shorts = []byte(" 0-0: -1 -1")

// aggregated parses " target_id=0 nr_regions=17 140731667070976-140731668037632: 0 3". The
// age is not there in old kernels.
func (t *text) aggregated(head, tail []byte) error {
	o, err := t.origin(head)
	if err != nil {
		return err
	}
	e := damon.Aggregated{Origin: o, Target: t.number, Regions: t.regions}
	s := scanner{left: tail}
	if len(t.same) > 0 && bytes.HasPrefix(tail, t.same) { // the same target and number as before
		s.left = tail[len(t.same):]
	} else {
		e.Target = s.number("target_id=")
		e.Regions = s.number("nr_regions=")
		t.same = append(t.same[:0], tail[:len(tail)-len(s.left)]...)
		t.number, t.regions = e.Target, e.Regions
		if !bytes.HasPrefix(s.left, []byte{' '}) { // it could go on
			t.same = t.same[:0]
		}
	}
	if bytes.HasPrefix(s.left, shorts) {
		return nil
	}
	e.Region.Start = s.number("")
	e.Region.End = s.number("-")
	e.Region.Accesses = s.number(":")
	if !s.done() {
		e.Region.Age = s.number("")
	}
	if !s.done() || s.bad || e.Region.End < e.Region.Start {
		return fmt.Errorf("%w: %q", ErrMalformed, tail)
	}
	if err := t.forward(target{o.Thread, e.Target}, o.Time); err != nil {
		return err
	}
	return t.assembler.Add(e, false, t.end)
}

// forward makes sure that the time of a target does not go back.
func (t *text) forward(of target, now int64) error {
	if of != t.last {
		t.times[t.last] = t.lastTime
		t.last, t.lastTime = of, t.times[of]
	}
	if now < t.lastTime {
		return fmt.Errorf("%w: time goes back by %d ns", ErrMalformed, t.lastTime-now)
	}
	t.lastTime = now
	return nil
}

func (t *text) end(s *damon.Snapshot) error {
	t.entry.Snapshot = *s
	return t.snapshot(&t.entry)
}

func (t *text) tuned(head, tail []byte) error {
	o, err := t.origin(head)
	if err != nil {
		return err
	}
	s := scanner{left: tail}
	e := damon.IntervalsTuned{Origin: o, Sample: s.number("sample_us=")}
	if !s.done() || s.bad {
		return fmt.Errorf("%w: %q", ErrMalformed, tail)
	}
	return t.Write(&recording.Tuned{IntervalsTuned: e})
}

// scanner takes numbers off a line. After the first that is none, it is bad.
type scanner struct {
	left []byte
	bad  bool
}

// skip takes spaces off.
func (s *scanner) skip() {
	for len(s.left) > 0 && (s.left[0] == ' ' || s.left[0] == '\r') {
		s.left = s.left[1:]
	}
}

// done reports whether nothing is left.
func (s *scanner) done() bool {
	s.skip()
	return len(s.left) == 0
}

// number takes a word and the number behind it.
func (s *scanner) number(word string) (n uint64) {
	s.skip()
	if len(s.left) < len(word) || string(s.left[:len(word)]) != word {
		s.bad = true
		return 0
	}
	s.left = s.left[len(word):]
	s.skip()
	digits := 0
	for ; digits+8 <= len(s.left) && n < 1e8; digits += 8 {
		eight, ok := eightDigits(binary.LittleEndian.Uint64(s.left[digits:]))
		if !ok {
			break
		}
		n = n*1e8 + eight
	}
	for _, c := range s.left[digits:] {
		d := uint64(c - '0')
		if d > 9 {
			break
		}
		if n > (1<<64-1)/10 || n*10 > 1<<64-1-d {
			s.bad = true
			return 0
		}
		n = n*10 + d
		digits++
	}
	s.bad = s.bad || digits == 0
	s.left = s.left[digits:]
	return n
}

// eightDigits makes a number of eight digits at once; false where one of the bytes is none.
// The first digit is in the lowest byte.
func eightDigits(text uint64) (uint64, bool) {
	const each = 0x0101010101010101
	digits := text ^ '0'*each
	if (digits|(digits+(0x7f-9)*each))&(0x80*each) != 0 {
		return 0, false
	}
	digits = digits*10 + digits>>8                               // two in each second byte
	digits = (digits & 0x00ff00ff00ff00ff) * (1 + 100<<16) >> 16 // four in each fourth
	return (digits & 0x0000ffff0000ffff) * (1 + 10000<<32) >> 32, true
}
