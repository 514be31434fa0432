package pool_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/safevma/safevma/region"
	"github.com/safevma/safevma/region/pool"
)

// A pool of locked memory, and a secret that is in it for as long as it is needed.
func Example() {
	p, err := pool.New(pool.Options{Size: 16 << 10, Most: 64 << 10,
		Guarantees: []region.Option{region.Resident(), region.Guarded(), region.NoDump(), region.NoFork()}})
	if err != nil {
		fmt.Println(err) // names the guarantee that can't be given here
		return
	}
	defer p.Close()

	key, err := p.Random(32)
	if err != nil {
		fmt.Println(err)
		return
	}
	var tag []byte
	err = key.Read(func(b []byte) error {
		mac := hmac.New(sha256.New, b)
		mac.Write([]byte("a message"))
		tag = mac.Sum(nil)
		return nil
	})
	fmt.Println(len(tag), err)
	fmt.Println(key.Free())
	fmt.Println(errors.Is(key.Free(), pool.ErrFreed), p.Check())
	// Output:
	// 32 <nil>
	// <nil>
	// true <nil>
}

// Each part of a program, or tenant, has a quota, and its secrets go together.
func ExampleOwner() {
	p, err := pool.New(pool.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	tenant := p.Owner("tenant 7", pool.Quota{Secrets: 2})
	for range 3 {
		if _, err := tenant.Random(32); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(tenant.Used().Secrets, "secrets")
	fmt.Println(tenant.FreeAll())
	// Output:
	// pool: alloc: the quota of the owner is used up
	// 2 secrets
	// 2 <nil>
}

// A secret that is rarely used is kept encrypted, outside of locked memory.
func ExampleSealed() {
	p, err := pool.New(pool.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()
	sealed, err := p.Seal([]byte("what is rarely used")) // the argument is zero afterwards
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := sealed.Open(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Free()
	ok, err := s.Equal([]byte("what is rarely used"))
	fmt.Println(sealed.Len(), ok, err)
	// Output: 19 true <nil>
}
