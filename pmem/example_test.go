package pmem_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/safevma/safevma/pmem"
	"github.com/safevma/safevma/pmem/fsck"
	"github.com/safevma/safevma/pmem/medium"
)

var ctx = context.Background()

// Account is kept in pools: plain data, of the same layout everywhere.
type Account struct {
	Owner   [24]byte
	Balance int64
	Next    pmem.Ref[Account] // another account, or none
}

// Rate never changes once it is made.
type Rate struct {
	PerYear float64
	Since   int64
}

// openAccounts opens a pool, or makes it where there is none.
func openAccounts(file string) (*pmem.Pool, error) {
	pool, err := pmem.Open(file, pmem.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		pool, err = pmem.Create(file, 16<<20, pmem.Options{})
	}
	return pool, err
}

// deposit adds to the first account, which it makes when there is none.
func deposit(tx *pmem.Tx, amount int64) error {
	r, err := pmem.Root[Account](tx, "first")
	if err != nil {
		return err
	}
	if r.IsNil() {
		if r, err = pmem.Alloc(tx, Account{Balance: amount}); err != nil {
			return err
		}
		return pmem.SetRoot(tx, "first", r)
	}
	a, err := pmem.Get(tx, r) // a copy
	if err != nil {
		return err
	}
	a.Balance += amount
	return pmem.Set(tx, r, a)
}

// balance is that of the first account.
func balance(pool *pmem.Pool) (amount int64, err error) {
	err = pool.View(ctx, func(tx *pmem.Tx) error {
		r, err := pmem.Root[Account](tx, "first")
		if err != nil {
			return err
		}
		a, err := pmem.Get(tx, r)
		amount = a.Balance
		return err
	})
	return amount, err
}

// run does something with a pool of accounts in a file that is removed afterwards.
func run(fn func(file string) error) {
	folder, err := os.MkdirTemp("", "accounts")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	if err := fn(filepath.Join(folder, "accounts.pool")); err != nil {
		fmt.Println(err)
	}
}

// A pool is a file. What was committed is there when it is opened again, however its program ended.
func Example() {
	run(func(file string) error {
		for _, amount := range []int64{100, 20} {
			pool, err := openAccounts(file)
			if err != nil {
				return err
			}
			err = pool.Update(ctx, func(tx *pmem.Tx) error { return deposit(tx, amount) })
			if err != nil {
				return err
			}
			fmt.Println(balance(pool))
			if err := pool.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	// Output:
	// 100 <nil>
	// 120 <nil>
}

// inMemory does something with a pool that ends with the program.
func inMemory(fn func(pool *pmem.Pool) error) {
	const size = 1 << 20 // bytes
	m, err := medium.NewVolatile(size, size)
	if err != nil {
		fmt.Println(err)
		return
	}
	pool, err := pmem.CreateOn(m, pmem.Options{})
	if err != nil {
		fmt.Println(errors.Join(err, m.Close()))
		return
	}
	if err := errors.Join(fn(pool), pool.Close()); err != nil {
		fmt.Println(err)
	}
}

// An error of the function undoes all that the transaction did.
func ExamplePool_Update() {
	errPoor := errors.New("not enough money")
	inMemory(func(pool *pmem.Pool) error {
		withdraw := func(amount int64) error {
			return pool.Update(ctx, func(tx *pmem.Tx) error {
				if err := deposit(tx, -amount); err != nil {
					return err
				}
				r, err := pmem.Root[Account](tx, "first")
				if err != nil {
					return err
				}
				a, err := pmem.Get(tx, r) // with what this transaction did
				if err == nil && a.Balance < 0 {
					err = errPoor
				}
				return err
			})
		}
		if err := pool.Update(ctx, func(tx *pmem.Tx) error { return deposit(tx, 100) }); err != nil {
			return err
		}
		fmt.Println(withdraw(70), withdraw(70))
		fmt.Println(balance(pool))
		return nil
	})
	// Output:
	// <nil> not enough money
	// 30 <nil>
}

// What has to happen once, when the transaction is committed, is given to OnApply: the function
// itself may run several times.
func ExampleTx_OnApply() {
	inMemory(func(pool *pmem.Pool) error {
		deposits := 0
		err := pool.Update(ctx, func(tx *pmem.Tx) error {
			tx.OnApply(func() { deposits++ })
			return deposit(tx, 100)
		})
		fmt.Println(deposits)
		return err
	})
	// Output: 1
}

// A type that holds what means nothing after a restart is refused. Register asks early.
func ExampleRegister() {
	type Customer struct {
		Name string
	}
	fmt.Println(pmem.Register[Account]())
	fmt.Println(pmem.Register[Customer]())
	// Output:
	// <nil>
	// the layout of the type pmem_test.Customer: Name is a string: it holds a pointer, which means nothing after a restart
}

// Text, and what has a length of its own, is in objects of bytes.
func ExampleAllocBytes() {
	inMemory(func(pool *pmem.Pool) error {
		var name pmem.Ref[pmem.Bytes]
		err := pool.Update(ctx, func(tx *pmem.Tx) (err error) {
			if name, err = pmem.AllocBytes(tx, []byte("Ada Lovelace")); err != nil {
				return err
			}
			return pmem.SetRoot(tx, "owner", name)
		})
		if err != nil {
			return err
		}
		return pool.View(ctx, func(tx *pmem.Tx) error {
			b, err := pmem.AppendBytes(tx, name, nil)
			fmt.Println(string(b), len(b))
			return err
		})
	})
	// Output: Ada Lovelace 12
}

// An object that was declared immutable can be borrowed, which copies nothing.
func ExampleBorrow() {
	inMemory(func(pool *pmem.Pool) error {
		err := pool.Update(ctx, func(tx *pmem.Tx) error {
			r, err := pmem.AllocImmutable(tx, Rate{PerYear: 2.5, Since: 2026})
			if err != nil {
				return err
			}
			return pmem.SetRoot(tx, "rate", r)
		})
		if err != nil {
			return err
		}
		return pool.View(ctx, func(tx *pmem.Tx) error {
			r, err := pmem.Root[Rate](tx, "rate")
			if err != nil {
				return err
			}
			rate, err := pmem.Borrow(tx, r) // valid until this function returns
			if err != nil {
				return err
			}
			fmt.Println(rate.PerYear, rate.Since)
			return nil
		})
	})
	// Output: 2.5 2026
}

// A reference to what was freed is an error, whatever is in its place.
func ExampleFree() {
	inMemory(func(pool *pmem.Pool) error {
		var old pmem.Ref[Account]
		err := pool.Update(ctx, func(tx *pmem.Tx) (err error) { old, err = pmem.Alloc(tx, Account{}); return err })
		if err != nil {
			return err
		}
		err = pool.Update(ctx, func(tx *pmem.Tx) error {
			if err := pmem.Free(tx, old); err != nil {
				return err
			}
			return pmem.SetRoot(tx, "first", pmem.Ref[Account]{}) // refers to nothing
		})
		if err != nil {
			return err
		}
		err = pool.View(ctx, func(tx *pmem.Tx) error { _, err := pmem.Get(tx, old); return err })
		fmt.Println(errors.Is(err, pmem.ErrStale))
		return nil
	})
	// Output: true
}

// advice says what to do about an error of Update.
func advice(err error) string {
	var damage *pmem.DamageError
	switch {
	case err == nil:
		return "it is durable"
	case errors.Is(err, pmem.ErrOutcomeUnknown), errors.Is(err, pmem.ErrPoisoned):
		return "close the pool, open it again, and look"
	case errors.As(err, &damage):
		return fmt.Sprintf("what is at offset %d is damaged: safevma pool check", damage.Off)
	case errors.Is(err, pmem.ErrFull):
		return "free something, or use a bigger pool"
	}
	return "nothing happened"
}

func ExampleErrFull() {
	inMemory(func(pool *pmem.Pool) error {
		err := pool.Update(ctx, func(tx *pmem.Tx) error {
			for {
				if _, err := pmem.Alloc(tx, Account{}); err != nil {
					return err
				}
			}
		})
		fmt.Println(errors.Is(err, pmem.ErrFull), advice(err))
		err = pool.Update(ctx, func(tx *pmem.Tx) error { return deposit(tx, 5) })
		fmt.Println(advice(err))
		return nil
	})
	// Output:
	// true free something, or use a bigger pool
	// it is durable
}

// A pool in a file is checked while no program writes it.
func Example_check() {
	run(func(file string) error {
		pool, err := openAccounts(file)
		if err != nil {
			return err
		}
		err = pool.Update(ctx, func(tx *pmem.Tx) error { return deposit(tx, 100) })
		if err := errors.Join(err, pool.Close()); err != nil {
			return err
		}
		m, err := medium.Open(file, medium.Options{ReadOnly: true, Sparse: true})
		if err != nil {
			return err
		}
		defer m.Close()
		report, err := fsck.Check(ctx, m)
		if err != nil {
			return err
		}
		fmt.Println(len(report.Problems), "problems")
		return nil
	})
	// Output: 0 problems
}
