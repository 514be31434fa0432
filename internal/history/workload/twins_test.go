package workload_test

import (
	"runtime"
	"slices"
	"sync"

	"github.com/safevma/safevma/internal/history/workload"
)

// Stores in memory: one that is right, and twins of it that are broken in one way each.
// All keep lists. None has a data race: what they lack is isolation.

// memory is what they keep: lists by key, each replaced and never changed.
type memory struct {
	mu    sync.Mutex
	lists map[int][]uint64 // protected by mu
}

func (m *memory) get(key int) []uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lists[key]
}

func (m *memory) put(key int, list []uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lists == nil {
		m.lists = map[int][]uint64{}
	}
	m.lists[key] = list
}

// copy returns all of it at one moment.
func (m *memory) copy() map[int][]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[int][]uint64{}
	for key, list := range m.lists {
		all[key] = list
	}
	return all
}

// apply puts all at one moment.
func (m *memory) apply(lists map[int][]uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lists == nil {
		m.lists = map[int][]uint64{}
	}
	for key, list := range lists {
		m.lists[key] = list
	}
}

// buffered keeps writes until the commit, over any way to read.
type buffered struct {
	read    func(key int) []uint64
	written map[int][]uint64
}

func buffer(read func(key int) []uint64) *buffered { return &buffered{read, map[int][]uint64{}} }

func (tx *buffered) Read(key int) ([]uint64, error) {
	if list, ok := tx.written[key]; ok {
		return list, nil
	}
	return tx.read(key), nil
}

func (tx *buffered) Append(key int, value uint64) error {
	list, _ := tx.Read(key)
	tx.written[key] = append(slices.Clone(list), value)
	return nil
}

type fn = func(workload.ListTx) error

// locked is right: one transaction at a time.
type locked struct {
	one sync.Mutex
	memory
}

func (s *locked) Update(f fn) error {
	s.one.Lock()
	defer s.one.Unlock()
	tx := buffer(s.get)
	if err := f(tx); err != nil {
		return err
	}
	s.apply(tx.written)
	return nil
}

func (s *locked) View(f fn) error {
	s.one.Lock()
	defer s.one.Unlock()
	return f(buffer(s.get))
}

// retrying is right too: it reads without a lock, and at the commit checks that nothing of
// it changed. fn runs again if something did.
type retrying struct{ memory }

func (s *retrying) Update(f fn) error {
	for {
		read := map[int][]uint64{}
		all := s.copy()
		tx := buffer(func(key int) []uint64 { read[key] = all[key]; return all[key] })
		if err := f(tx); err != nil {
			return err
		}
		if s.commit(read, tx.written) {
			return nil
		}
	}
}

func (s *retrying) View(f fn) error {
	all := s.copy()
	return f(buffer(func(key int) []uint64 { return all[key] }))
}

func (s *retrying) commit(read, written map[int][]uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, list := range read {
		if len(list) != len(s.lists[key]) {
			return false
		}
	}
	if s.lists == nil {
		s.lists = map[int][]uint64{}
	}
	for key, list := range written {
		s.lists[key] = list
	}
	return true
}

// lockless reads, and at the commit writes, with nothing between: updates are lost.
type lockless struct{ memory }

func (s *lockless) Update(f fn) error {
	all := s.copy()
	tx := buffer(func(key int) []uint64 { return all[key] })
	if err := f(tx); err != nil {
		return err
	}
	s.apply(tx.written)
	return nil
}

func (s *lockless) View(f fn) error {
	all := s.copy()
	return f(buffer(func(key int) []uint64 { return all[key] }))
}

// snapshot is snapshot isolation: whoever writes what changed since its begin runs again,
// whoever only read it does not.
type snapshot struct{ retrying }

func (s *snapshot) Update(f fn) error {
	for {
		all := s.copy()
		tx := buffer(func(key int) []uint64 { return all[key] })
		if err := f(tx); err != nil {
			return err
		}
		wrote := map[int][]uint64{}
		for key := range tx.written {
			wrote[key] = all[key]
		}
		if s.commit(wrote, tx.written) {
			return nil
		}
	}
}

// halfway applies a commit key by key, and its views do not wait for that.
type halfway struct{ locked }

func (s *halfway) Update(f fn) error {
	s.one.Lock()
	defer s.one.Unlock()
	tx := buffer(s.get)
	if err := f(tx); err != nil {
		return err
	}
	for key, list := range tx.written {
		s.put(key, list)
		runtime.Gosched()
	}
	return nil
}

func (s *halfway) View(f fn) error {
	all := s.copy()
	return f(buffer(func(key int) []uint64 { return all[key] }))
}

// dirty writes in place and undoes it at an abort. Its updates exclude each other, its
// views see everything.
type dirty struct{ locked }

func (s *dirty) Update(f fn) error {
	s.one.Lock()
	defer s.one.Unlock()
	before := s.copy()
	tx := &inPlace{&s.memory}
	err := f(tx)
	if err != nil {
		runtime.Gosched()
		for key := range s.copy() {
			s.put(key, before[key])
		}
	}
	return err
}

func (s *dirty) View(f fn) error { return f(&inPlace{&s.memory}) }

type inPlace struct{ *memory }

func (tx *inPlace) Read(key int) ([]uint64, error) { return tx.get(key), nil }

func (tx *inPlace) Append(key int, value uint64) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.lists == nil {
		tx.lists = map[int][]uint64{}
	}
	tx.lists[key] = append(slices.Clone(tx.lists[key]), value)
	return nil
}

// anarchy has single operations, and nothing that holds several together.
type anarchy struct{ memory }

func (s *anarchy) Update(f fn) error { return f(&inPlace{&s.memory}) }
func (s *anarchy) View(f fn) error   { return f(&inPlace{&s.memory}) }

// stale shows in its views how all was some commits ago.
type stale struct {
	locked
	past []map[int][]uint64 // protected by one
}

func (s *stale) Update(f fn) error {
	err := s.locked.Update(f)
	s.one.Lock()
	defer s.one.Unlock()
	s.past = append(s.past, s.copy())
	s.past = s.past[max(0, len(s.past)-20):]
	return err
}

func (s *stale) View(f fn) error {
	s.one.Lock()
	var all map[int][]uint64
	if len(s.past) > 0 {
		all = s.past[0]
	}
	s.one.Unlock()
	return f(buffer(func(key int) []uint64 { return all[key] }))
}

// early gives up its lock before it applies what it did under it.
type early struct{ locked }

func (s *early) Update(f fn) error {
	s.one.Lock()
	tx := buffer(s.get)
	err := f(tx)
	s.one.Unlock()
	runtime.Gosched()
	if err != nil {
		return err
	}
	s.apply(tx.written)
	return nil
}

// blind does not see what it wrote itself.
type blind struct{ locked }

func (s *blind) Update(f fn) error {
	return s.locked.Update(func(tx workload.ListTx) error { return f(&forgetful{tx.(*buffered)}) })
}

type forgetful struct{ *buffered }

func (tx *forgetful) Read(key int) ([]uint64, error) { return tx.read(key), nil }

// registers makes a store of registers from one of lists: the value is the last one.
type registers struct {
	lists workload.ListStore
}

func (r registers) Update(f func(workload.Tx) error) error {
	return r.lists.Update(func(tx workload.ListTx) error { return f(register{tx}) })
}

func (r registers) View(f func(workload.Tx) error) error {
	return r.lists.View(func(tx workload.ListTx) error { return f(register{tx}) })
}

type register struct{ workload.ListTx }

func (r register) Get(key int) (uint64, error) {
	list, err := r.Read(key)
	if len(list) == 0 {
		return 0, err
	}
	return list[len(list)-1], err
}

func (r register) Set(key int, value uint64) error { return r.Append(key, value) }
