package mglru

import (
	"encoding/json"
	"io"

	"github.com/safevma/safevma/guarantee"
)

// Schema names the JSON form of a [Report].
const Schema = "safevma.mglru/v1"

// Report is the settings and the generations.
type Report struct {
	Window   guarantee.Window
	Settings Settings
	PageSize uint64
	// Memcgs is nil where Unseen says why.
	Memcgs []Memcg
	Unseen error
}

// Read reads both. It fails where there is no multi-generational LRU; generations that are
// hidden are not an error: see [Report.Unseen].
func (f FS) Read(full bool) (*Report, error) {
	settings, err := f.Settings()
	if err != nil {
		return nil, err
	}
	r := &Report{Settings: settings}
	r.Memcgs, r.Unseen = f.Generations(full)
	return r, nil
}

type jsonGeneration struct {
	Generation
	AgeMS int64 `json:"age_ms"`
}

type jsonIdle struct {
	From int64  `json:"from_ms"`
	To   int64  `json:"to_ms"`
	Anon uint64 `json:"anon"`
	File uint64 `json:"file"`
}

type jsonNode struct {
	ID          int              `json:"id"`
	Generations []jsonGeneration `json:"generations"`
	Idle        []jsonIdle       `json:"idle"`
}

type jsonMemcg struct {
	ID    uint64     `json:"id"`
	Path  string     `json:"path"`
	Nodes []jsonNode `json:"nodes"`
}

// WriteJSON writes the report: ages in milliseconds, sizes in pages.
func (r *Report) WriteJSON(w io.Writer) error {
	out := struct {
		Schema   string           `json:"schema"`
		Window   guarantee.Window `json:"window"`
		Enabled  Components       `json:"enabled"`
		Main     bool             `json:"main"`
		Leaf     bool             `json:"leaf_batch"`
		NonLeaf  bool             `json:"non_leaf"`
		MinTTL   int64            `json:"min_ttl_ms"`
		PageSize uint64           `json:"page_size"`
		Memcgs   []jsonMemcg      `json:"memcgs"`
		Unseen   string           `json:"unseen,omitempty"`
	}{Schema: Schema, Window: r.Window, Enabled: r.Settings.Enabled, Main: r.Settings.Enabled.Has(Main), Leaf: r.Settings.Enabled.Has(LeafBatch),
		NonLeaf: r.Settings.Enabled.Has(NonLeaf), MinTTL: r.Settings.MinTTL.Milliseconds(), PageSize: r.PageSize, Memcgs: []jsonMemcg{}}
	if r.Unseen != nil {
		out.Unseen = guarantee.Text(r.Unseen.Error())
	}
	for _, m := range r.Memcgs {
		memcg := jsonMemcg{ID: m.ID, Path: guarantee.Text(m.Path), Nodes: []jsonNode{}}
		for i := range m.Nodes {
			memcg.Nodes = append(memcg.Nodes, m.Nodes[i].json())
		}
		out.Memcgs = append(out.Memcgs, memcg)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (n *Node) json() jsonNode {
	out := jsonNode{ID: n.ID, Generations: []jsonGeneration{}, Idle: []jsonIdle{}}
	for _, g := range n.Generations {
		out.Generations = append(out.Generations, jsonGeneration{g, g.Age.Milliseconds()})
	}
	for _, i := range n.Idle() {
		out.Idle = append(out.Idle, jsonIdle{i.From.Milliseconds(), i.To.Milliseconds(), i.Anon, i.File})
	}
	return out
}
