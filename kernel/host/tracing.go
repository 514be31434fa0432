package host

import "strings"

// ProbeEvent is one probe of uprobe_events or kprobe_events
// (Documentation/trace/{uprobetracer,kprobetrace}.rst).
type ProbeEvent struct {
	// Kind is "entry" or "return".
	Kind  string `json:"kind"`
	Group string `json:"group"`
	Name  string `json:"name"`
	// Target is "path:offset" for a uprobe, a symbol or an address for a kprobe.
	Target string `json:"target"`
	// Args are what it fetches: registers, and memory of the process that runs into it.
	Args []string `json:"args,omitempty"`
}

// parseProbeEvents parses lines such as "p:uprobes/read /bin/cat:0x0000000000001040
// secret=+0(%di):x64".
func parseProbeEvents(text string) ([]ProbeEvent, error) {
	events := []ProbeEvent{}
	for line := range strings.Lines(text) {
		event, err := parseProbeEvent(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	return events, nil
}

func parseProbeEvent(line string) (ProbeEvent, error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return ProbeEvent{}, malformed("%s is not a probe", quote(line))
	}
	kind, name, ok := strings.Cut(fields[0], ":")
	group, name, ok2 := strings.Cut(name, "/")
	if !ok || !ok2 || kind == "" || group == "" || name == "" {
		return ProbeEvent{}, malformed("%s does not begin with kind:group/name", quote(line))
	}
	event := ProbeEvent{Group: group, Name: name, Target: fields[1], Args: fields[2:]}
	switch kind[0] {
	case 'p':
		event.Kind = "entry"
	case 'r': // "r10": with at most 10 at a time
		event.Kind = "return"
	default:
		return ProbeEvent{}, malformed("%s: probe of the kind %s", quote(line), quote(kind))
	}
	return event, nil
}
