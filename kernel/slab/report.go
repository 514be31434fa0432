package slab

import (
	"encoding/json"
	"errors"
	"io"

	"github.com/safevma/safevma/guarantee"
)

// Schema names the JSON form of a [Report].
const Schema = "safevma.slab/v1"

// Report is all caches, and what follows from their names.
type Report struct {
	Window guarantee.Window
	// PageSize in bytes.
	PageSize  uint64
	Caches    []Cache
	Exercises []Exercise
}

// Totals are sums over a report.
type Totals struct {
	Caches int `json:"caches"`
	Names  int `json:"names"`
	// Merged caches have several names, SharedNames of them together.
	Merged      int `json:"merged"`
	SharedNames int `json:"shared_names"`
	// Crossing caches have names of several domains, Guarded ones of a domain that decides
	// who may do what, or which memory is whose.
	Crossing int `json:"crossing"`
	Guarded  int `json:"guarded"`
	// Unsorted names of merged caches are of no domain that this version knows: those caches
	// may cross, too.
	Unsorted int `json:"unsorted_names"`
	// Bytes are in slabs; nil where not all caches say.
	Bytes *uint64 `json:"bytes"`
	// Denied caches were hidden from this reader, Failed ones could not be read.
	Denied int `json:"denied"`
	Failed int `json:"failed"`
}

// Totals sums up.
func (r *Report) Totals() Totals {
	var t Totals
	var bytes uint64
	counted := true
	for i := range r.Caches {
		c := &r.Caches[i]
		t.Caches++
		t.Names += len(c.Names)
		if c.Merged() {
			t.Merged++
			t.SharedNames += len(c.Names)
			t.Unsorted += c.unsorted()
		}
		if c.Crosses() {
			t.Crossing++
		}
		if c.Guarded() {
			t.Guarded++
		}
		switch {
		case errors.Is(c.Hidden, ErrDenied):
			t.Denied++
		case c.Hidden != nil:
			t.Failed++
		}
		n, ok := c.Bytes(r.PageSize)
		bytes, counted = bytes+n, counted && ok
	}
	if counted {
		t.Bytes = &bytes
	}
	return t
}

// Bytes is the memory of all slabs of the cache; false where it isn't known.
func (c *Cache) Bytes(page uint64) (uint64, bool) {
	if c.Detail == nil {
		return 0, false
	}
	return c.Detail.Bytes(page)
}

// WriteJSON writes the report as JSON: sizes in bytes.
func (r *Report) WriteJSON(w io.Writer) error {
	type cache struct {
		Cache
		Domains []Domain `json:"domains"`
		Crosses bool     `json:"crosses"`
		Guarded bool     `json:"guarded"`
		Hidden  string   `json:"hidden,omitempty"`
	}
	out := struct {
		Schema    string           `json:"schema"`
		Window    guarantee.Window `json:"window"`
		PageSize  uint64           `json:"page_size"`
		Totals    Totals           `json:"totals"`
		Caches    []cache          `json:"caches"`
		Exercises []Exercise       `json:"exercises"`
	}{Schema, r.Window, r.PageSize, r.Totals(), []cache{}, append([]Exercise{}, r.Exercises...)}
	for i := range r.Caches {
		c := cache{Cache: r.Caches[i], Domains: r.Caches[i].Domains(), Crosses: r.Caches[i].Crosses(), Guarded: r.Caches[i].Guarded()}
		c.ID, c.Names = guarantee.Text(c.ID), escaped(c.Names)
		if err := r.Caches[i].Hidden; err != nil {
			c.Hidden = guarantee.Text(err.Error())
		}
		out.Caches = append(out.Caches, c)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func escaped(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = guarantee.Text(name)
	}
	return out
}
