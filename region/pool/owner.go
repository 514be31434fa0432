package pool

import (
	"errors"
	"sync"
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
	pool     *Pool
	name     string
	quota    Quota
	charging sync.Mutex // held by who compares with the quota
	secrets  atomic.Int64
	bytes    atomic.Int64
}

// Owner returns a new owner with a name for messages and a quota.
func (p *Pool) Owner(name string, q Quota) *Owner { return &Owner{pool: p, name: name, quota: q} }

// Name returns the name.
func (o *Owner) Name() string { return o.name }

// Used returns what the owner has now.
func (o *Owner) Used() Quota { return Quota{Secrets: o.secrets.Load(), Bytes: o.bytes.Load()} }

// charge never counts what it refuses, not even for a moment: another one that fits would be refused
// too.
func (o *Owner) charge(n int) error {
	if o.quota != (Quota{}) {
		o.charging.Lock()
		defer o.charging.Unlock()
		q := o.quota
		if q.Secrets != 0 && o.secrets.Load() >= q.Secrets || q.Bytes != 0 && o.bytes.Load()+int64(n) > q.Bytes {
			return ErrQuota
		}
	}
	o.secrets.Add(1)
	o.bytes.Add(int64(n))
	return nil
}

func (o *Owner) refund(n int) {
	o.secrets.Add(-1)
	o.bytes.Add(int64(-n))
}

// FreeAll frees all secrets of the owner, but for those in use, and returns how many it freed.
func (o *Owner) FreeAll() (freed int, err error) {
	if o.pool == nil { // no pool made it
		return 0, nil
	}
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
