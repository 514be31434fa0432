package survival

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// Progress is what a process reported: for each of its workers, the transaction that it started
// last, and the last one that it acknowledged.
type Progress struct {
	Started, Acknowledged [Workers]uint64
	// Reports is what the process found when it opened the pool.
	Reports []Report `json:"-"`
}

// Events that a process writes, a line each.
const (
	eventStarted      = 's'
	eventAcknowledged = 'a'
	eventFailed       = 'f' // and why
	eventChecked      = 'c' // and what was found
)

// Line takes a line of what a process reports.
func (p *Progress) Line(line string) error {
	switch line[0] {
	case eventFailed:
		return fmt.Errorf("the process: %s", line[1:])
	case eventChecked:
		var r Report
		err := json.Unmarshal([]byte(line[1:]), &r)
		p.Reports = append(p.Reports, r)
		return err
	}
	var worker int
	var n uint64
	if _, err := fmt.Sscanf(line[1:], "%d %d\n", &worker, &n); err != nil || worker < 0 || worker >= Workers {
		return fmt.Errorf("a report %q: %w", line, err)
	}
	switch line[0] {
	case eventStarted:
		p.Started[worker] = max(p.Started[worker], n)
	case eventAcknowledged:
		p.Acknowledged[worker] = max(p.Acknowledged[worker], n)
	default:
		return fmt.Errorf("a report %q", line)
	}
	return nil
}

// Read takes all that a process reports, until its end. A line that was cut off is none. The
// function is called after each line.
func (p *Progress) Read(r io.Reader, after func()) error {
	for lines := bufio.NewReader(r); ; after() {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.Line(line); err != nil {
			return err
		}
	}
}

// Sum is how many transactions were acknowledged.
func (p *Progress) Sum() (n uint64) {
	for _, a := range p.Acknowledged {
		n += a
	}
	return n
}
