package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safevma/safevma/lab"
	"github.com/safevma/safevma/lab/machine"
	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/medium"
)

// runFile makes the test binary run the bank in this file.
const runFile = "SAFEVMA_EXAMPLE_BANK"

func TestMain(m *testing.M) {
	if file := os.Getenv(runFile); file != "" {
		fmt.Fprintln(os.Stderr, run(context.Background(), file, os.Stdout))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// media are where a bank can be.
var media = []struct {
	kind medium.Kind
	dir  func(t *testing.T) string
}{
	{medium.DAX, func(t *testing.T) string { lab.Require(t, "map-sync"); return lab.DAX(t) }},
	{medium.PageCache, func(t *testing.T) string {
		if _, inside, err := machine.Here(); inside && err == nil { // whose /tmp is in memory
			return lab.Disk(t, "ext4")
		}
		return t.TempDir()
	}},
	{medium.Volatile, func(t *testing.T) string {
		dir, err := os.MkdirTemp("/dev/shm", "safevma-bank-")
		if err != nil {
			t.Skipf("no folder in /dev/shm: %v", err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}},
}

// A bank that is killed at random moments keeps its money and what it acknowledged, on each medium.
func TestTrial(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	for _, m := range media {
		t.Run(m.kind.String(), func(t *testing.T) {
			file := filepath.Join(m.dir(t), "bank")
			b, err := openOrCreate(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			kind := b.pool.Info().Medium.Kind
			if err := b.pool.Close(); err != nil {
				t.Fatal(err)
			}
			if kind != m.kind && m.kind == medium.PageCache {
				t.Skipf("%s is %v", file, kind)
			}
			if kind != m.kind {
				t.Fatalf("%s is %v", file, kind)
			}
			t.Setenv(runFile, file)
			o, err := trial(t.Context(), file, kills, os.Args[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", o)
		})
	}
}

// The control: a check that is told of a transfer that was never made, or finds money missing,
// fails.
func TestCheckCanFail(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bank")
	b, err := openOrCreate(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.pool.Update(t.Context(), func(tx *pmem.Tx) error { return b.add(tx, 0, -1) }); err != nil {
		t.Fatal(err)
	}
	if err := b.pool.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t.Context(), file, receipts{}); err == nil || !strings.Contains(err.Error(), "there was") {
		t.Errorf("money is missing: %v", err)
	}
	b, err = open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.pool.Update(t.Context(), func(tx *pmem.Tx) error { return b.add(tx, 0, 1) }); err != nil {
		t.Fatal(err)
	}
	if err := b.pool.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := check(t.Context(), file, receipts{last: [tellers]uint64{0, 1}}); err == nil || !strings.Contains(err.Error(), "teller 1 acknowledged") {
		t.Errorf("a transfer is missing: %v", err)
	}
}

// Without a file: transactions that are isolated, and end with the process.
func Example_inMemory() {
	m, err := medium.NewVolatile(poolSize, poolSize)
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := pmem.CreateOn(m, pmem.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	b, ctx := &bank{pool: pool}, context.Background()
	if err := pool.Update(ctx, b.found); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.transfer(ctx, 0, 1, 2, 300); err != nil {
		fmt.Println(err)
		return
	}
	_, err = b.transfer(ctx, 0, 1, 2, 800)
	fmt.Println(err)
	s, err := b.sum(ctx)
	fmt.Println(s.money, s.transfers, err)
	// Output:
	// not enough money in the account
	// 64000 1 <nil>
}
