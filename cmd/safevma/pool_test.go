package main

import (
	"context"
	"errors"
	"os"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// account is a type that safevma never sees but in pools.
type account struct {
	Balance int64
	Owner   [16]byte
	Next    pmem.Ref[account]
	Note    pmem.Ref[pmem.Bytes]
}

// makePool makes a pool with a list of two accounts, and sets $NOTE to the offset of a note. With
// "leak" it forgets an account; with "killed" it is not closed; with "open" it stays open until the
// script ends.
func makePool(ts *testscript.TestScript, _ bool, args []string) {
	name := ts.MkAbs(args[0])
	p, err := pmem.Create(name, 1<<20, pmem.Options{SpanSize: 4096})
	ts.Check(err)
	ts.Check(p.Update(context.Background(), func(tx *pmem.Tx) error {
		note, err1 := pmem.AllocBytes(tx, []byte("a \x1b[31mnote"))
		last, err2 := pmem.Alloc(tx, account{Balance: 7, Owner: [16]byte{'e', 'v', 'e'}, Note: note})
		first, err3 := pmem.Alloc(tx, account{Balance: -5, Owner: [16]byte{'b', 'o', 'b'}, Next: last})
		ts.Setenv("NOTE", strconv.FormatInt(note.Offset(), 10))
		return errors.Join(err1, err2, err3, pmem.SetRoot(tx, "accounts", first))
	}))
	switch append(args, "")[1] {
	case "open":
		ts.Defer(func() { p.Close() })
		return
	case "leak":
		ts.Check(p.Update(context.Background(), func(tx *pmem.Tx) error {
			_, err := pmem.Alloc(tx, account{Balance: 1})
			return err
		}))
	case "killed":
		image := make([]byte, p.Medium().Size())
		ts.Check(p.Medium().Read(0, image))
		ts.Check(os.Remove(name))
		ts.Check(os.WriteFile(name, image, 0o600))
	}
	ts.Check(p.Close())
	if append(args, "")[1] == "damaged" {
		note, err := strconv.ParseInt(ts.Getenv("NOTE"), 10, 64)
		ts.Check(err)
		m, err := medium.Open(name, medium.Options{})
		ts.Check(err)
		ts.Check(m.Write(note+24, []byte("scratch "), medium.Unclassed))
		ts.Check(m.Close())
	}
}
