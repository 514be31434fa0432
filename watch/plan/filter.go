package plan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/safevma/safevma/kernel/damon"
)

// filters puts filters where the kernel has them. Those of a layer that is named replace
// all of it.
func (w *Words) filters(scheme map[string]any) error {
	for _, text := range w.Filters {
		f, kind, err := filter(text)
		if err != nil {
			return wrong("--filter %q: %w", text, err)
		}
		layer := "ops_filters"
		if damon.FilterType(kind).Core() {
			layer = "core_filters"
		}
		list, _ := scheme[layer].([]any)
		scheme[layer] = append(list, f)
	}
	return nil
}

// filter parses "allow|reject [none] TYPE [VALUE]".
func filter(text string) (f map[string]any, kind string, err error) {
	words := strings.Fields(text)
	if len(words) == 0 || words[0] != "allow" && words[0] != "reject" {
		return nil, "", errors.New("want allow or reject, then perhaps none, a type and its value")
	}
	f = map[string]any{"allow": words[0] == "allow", "matching": true}
	if words = words[1:]; len(words) > 0 && words[0] == "none" {
		f["matching"] = false
		words = words[1:]
	}
	if len(words) == 0 {
		return nil, "", errors.New("want a type behind it, such as anon")
	}
	kind = words[0]
	f["type"] = kind
	return f, kind, argument(f, damon.FilterType(kind), strings.Join(words[1:], " "))
}

// argument parses what stands behind the type.
func argument(f map[string]any, kind damon.FilterType, text string) error {
	low, high, ends := strings.Cut(text, "-")
	switch kind {
	case damon.FilterMemcg:
		f["memcg_path"] = text
		if text == "" {
			return errors.New("want the path of a control group behind it")
		}
		return nil
	case damon.FilterTarget:
		f["damon_target_idx"] = value(text)
		return nil
	case damon.FilterAddr:
		f["addr_start"], f["addr_end"] = value(low), value(high)
	case damon.FilterHugePage:
		f["min"], f["max"] = value(low), value(high)
	default:
		if text != "" {
			return fmt.Errorf("%s takes nothing behind it", kind)
		}
		return nil
	}
	if !ends {
		return fmt.Errorf("want start-end behind %s", kind)
	}
	return nil
}
