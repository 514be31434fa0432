package pmem

import (
	"fmt"
	"testing"

	"github.com/safevma/safevma/pmem/medium"
)

// A new pool gets its name when all of it is durable, and then the name is made so.
func TestPublish(t *testing.T) {
	for _, kind := range []medium.Kind{medium.DAX, medium.PageCache} {
		var last []string
		in := &injector{event: func(e medium.Event) error {
			switch {
			case len(e.Data) > 0 || e.Action == medium.Allocate:
				last = []string{"store"}
			case e.Action == medium.Link:
				last = append(last, "link")
			case e.Action == medium.SyncEnd && (e.Scope == medium.File || e.Scope == medium.Directory):
				last = append(last, fmt.Sprint("sync of the ", map[bool]string{true: "file", false: "directory"}[e.Scope == medium.File]))
			}
			return nil
		}}
		m, err := medium.Record(make([]byte, exploredSize), medium.Emulation{Kind: kind}, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = CreateOn(m, exploredOptions); err == nil {
			err = publish(m)
		}
		if want := "[store sync of the file link sync of the directory]"; err != nil || fmt.Sprint(last) != want {
			t.Errorf("%v: %v, %v", kind, last, err)
		}
	}
}

// Close leaves an empty log: nothing is replayed when the pool is opened again.
func TestCloseEmptiesTheLog(t *testing.T) {
	image := make([]byte, exploredSize)
	p, err := CreateOn(mustRecord(t, image), exploredOptions)
	if err != nil {
		t.Fatal(err)
	}
	update(t, p, func(tx *Tx) error { _, err := Alloc(tx, node{}); return err })
	if p.Info().LogUsed == 0 {
		t.Error("nothing is in the log")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if p, err = OpenOn(mustRecord(t, image), exploredOptions); err != nil || p.Info().Recovery.Records != 0 {
		t.Errorf("closed, and opened again: %+v, %v", p.Info().Recovery, err)
	}
}
