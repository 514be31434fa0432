package pool

import (
	"errors"
	"sync/atomic"

	"github.com/safevma/safevma/region"
)

// Quota is what an owner may have at one time. 0 is no limit.
type Quota struct {
	Secrets int64
	Bytes   int64 // of the secrets, as they were asked for
}

// Owner is somebody on whose account secrets are: a part of a program, a tenant. It is a tag and
// a quota; whoever has a [Secret] can use it.
type Owner struct {
	pool    *Pool
	name    string
	quota   Quota
	secrets atomic.Int64
	bytes   atomic.Int64
}

// Owner returns a new owner with a name for messages and a quota.
func (p *Pool) Owner(name string, q Quota) *Owner { return &Owner{pool: p, name: name, quota: q} }

// Name returns the name.
func (o *Owner) Name() string { return o.name }

// Used returns what the owner has now.
func (o *Owner) Used() Quota { return Quota{Secrets: o.secrets.Load(), Bytes: o.bytes.Load()} }

func (o *Owner) charge(n int) error {
	secrets, bytes := o.secrets.Add(1), o.bytes.Add(int64(n))
	if o.quota.Secrets != 0 && secrets > o.quota.Secrets || o.quota.Bytes != 0 && bytes > o.quota.Bytes {
		o.refund(n)
		return ErrQuota
	}
	return nil
}

func (o *Owner) refund(n int) {
	o.secrets.Add(-1)
	o.bytes.Add(int64(-n))
}

// FreeAll frees all secrets of the owner, but for those in use, and returns how many it freed.
func (o *Owner) FreeAll() (freed int, err error) {
	o.pool.eachSlot(func(s *slot) {
		state := s.state.Load()
		if state&kindMask != live || s.owner.Load() != o {
			return
		}
		switch e := (Secret{s, state >> genShift}).Free(); {
		case e == nil:
			freed++
		case errors.Is(e, region.ErrCorrupt):
			freed++
			err = errors.Join(err, e)
		case !errors.Is(e, ErrFreed): // another one was faster, which is as good
			err = errors.Join(err, e)
		}
	})
	return freed, err
}
