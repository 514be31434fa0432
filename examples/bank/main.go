// Command bank is an example of package pmem: accounts in a pool, transfers between them from many
// goroutines, and a trial that kills it again and again. docs/pmem/tutorial.md walks through it.
//
//	bank create FILE
//	bank run FILE
//	bank show FILE
//	bank trial FILE KILLS
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

var errUsage = errors.New("usage: bank create|run|show FILE, or bank trial FILE KILLS")

func main() {
	err := command(context.Background(), os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "bank:", err)
	if errors.Is(err, errUsage) {
		os.Exit(2)
	}
	os.Exit(1)
}

func command(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	verb, file := args[0], args[1]
	switch {
	case verb == "create" && len(args) == 2:
		return create(ctx, file)
	case verb == "run" && len(args) == 2:
		return run(ctx, file, os.Stdout)
	case verb == "show" && len(args) == 2:
		return show(ctx, file)
	case verb == "trial" && len(args) == 3:
		return tryIt(ctx, file, args[2])
	}
	return errUsage
}

// create may be repeated, also after a crash within it: what is there stays.
func create(ctx context.Context, file string) error {
	b, err := openOrCreate(ctx, file)
	if err != nil {
		return err
	}
	defer b.pool.Close()
	fmt.Printf("%s: %d accounts, on %v\n", file, accounts, b.pool.Info().Medium.Kind)
	return b.pool.Close()
}

func show(ctx context.Context, file string) error {
	b, err := open(ctx, file)
	if err != nil {
		return err
	}
	defer b.pool.Close()
	s, err := b.sum(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("%d accounts with %d together, %d transfers\n", accounts, s.money, s.transfers)
	if r := b.pool.Info().Recovery; r.Records > 0 {
		fmt.Printf("opening it replayed %d transactions\n", r.Records)
	}
	return b.pool.Close()
}

func tryIt(ctx context.Context, file, kills string) error {
	n, err := strconv.Atoi(kills)
	if err != nil || n < 1 {
		return errUsage
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, err := trial(ctx, file, n, self, "run", file)
	fmt.Printf("killed %d times: %d transfers, %d of them acknowledged\n", r.kills, r.transfers, r.receipts)
	return err
}
