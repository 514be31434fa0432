package probe

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Errors    int         `xml:"errors,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Hostname  string      `xml:"hostname,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name       string          `xml:"name,attr"`
		Class      string          `xml:"classname,attr"`
		Time       string          `xml:"time,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Failure    *junitText      `xml:"failure"`
		Skipped    *junitText      `xml:"skipped"`
		Output     string          `xml:"system-out,omitempty"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitText struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
	}
)

// WriteJUnit writes the report as JUnit XML: a suite for each subject, a test case for each
// probe. A refuted claim is a failure, an unknown one is skipped. The requirement is a
// property of the case, "requirement".
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Name: "safevma probe", Tests: len(r.Probes), Failures: r.Summary.Refuted, Skipped: r.Summary.Unknown,
		Time: seconds(r.Window.To.Sub(r.Window.From))}
	for _, subject := range r.subjects() {
		suite := junitSuite{Name: "probe: " + string(subject), Timestamp: r.Window.From.Format("2006-01-02T15:04:05"),
			Hostname: r.Host.Name}
		var total time.Duration
		for i := range r.Probes {
			if p := &r.Probes[i]; p.Subject == subject {
				total += p.Window.To.Sub(p.Window.From)
				suite.add(p)
			}
		}
		suite.Time = seconds(total)
		all.Suites = append(all.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(p *Result) {
	c := junitCase{Name: p.ID, Class: "probe." + strings.ReplaceAll(string(p.Subject), " ", "-"),
		Time:       seconds(p.Window.To.Sub(p.Window.From)),
		Properties: []junitProperty{{"claim", p.Claim}, {"source", p.Source}}}
	if p.Requirement != "" {
		c.Properties = append(c.Properties, junitProperty{"requirement", p.Requirement})
	}
	if p.Row != "" {
		c.Properties = append(c.Properties, junitProperty{"ledger", p.Row})
	}
	var lines []string
	for _, e := range p.Experiments {
		lines = append(lines, e.String())
	}
	c.Output = strings.Join(lines, "\n")
	s.Tests++
	switch p.Outcome {
	case Refuted:
		s.Failures++
		c.Failure = &junitText{"refuted: " + p.Claim, "refuted"}
	case Unknown:
		s.Skipped++
		c.Skipped = &junitText{Message: fmt.Sprintf("%s: %s", p.Reason.Why, p.Reason.Detail)}
	}
	s.Cases = append(s.Cases, c)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// subjects are those of the report's probes, in the order of the catalogue.
func (r *Report) subjects() []Subject {
	var all []Subject
	for _, s := range Subjects() {
		for i := range r.Probes {
			if r.Probes[i].Subject == s {
				all = append(all, s)
				break
			}
		}
	}
	return all
}
