package medium

// Persist makes durable what was stored in a range before.
func (m *Medium) Persist(off, n int64) error {
	if m.way == dax && n > 0 && m.within(off, n) {
		m.flushFence(off, n)
		return nil
	}
	return m.persist(off, n)
}

// persist is Persist away from the plain case.
func (m *Medium) persist(off, n int64) error {
	if err := m.ready("persist", off, n); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	switch m.way {
	case pageCache:
		return m.syncRange(off, n)
	case recorded:
		return m.recordPersist([]Extent{{off, n}}, false)
	}
	return nil
}

// PersistAll makes durable what was stored in ranges before: with one fence, or with one sync,
// which on PageCache covers the whole file.
func (m *Medium) PersistAll(all []Extent) error {
	for _, e := range all {
		if err := m.ready("persist", e.Off, e.Len); err != nil {
			return err
		}
	}
	if len(all) == 0 {
		return m.ready("persist", 0, 0)
	}
	switch m.way {
	case dax:
		m.flushAllFence(all)
		return nil
	case pageCache:
		return m.syncData()
	case recorded:
		return m.recordPersist(all, true)
	}
	return nil
}

// Write puts data at an offset: visible and durable on return, and in between in no order. The
// offset and the length are multiples of 8.
func (m *Medium) Write(off int64, data []byte, class Class) error {
	n := int64(len(data))
	if m.way == dax && n > 0 && (off|n)%Word == 0 && m.within(off, n) {
		m.streamOneFence(off, data)
		return nil
	}
	return m.WriteAll(off, [][]byte{data}, class)
}

// WriteAll is [Medium.Write] for parts that come one after the other, such as the records of
// many transactions: they become durable with one fence, or with one sync. The length of
// each is a multiple of 8.
func (m *Medium) WriteAll(off int64, parts [][]byte, class Class) error {
	n, err := m.total(off, parts)
	if err != nil || n == 0 {
		return err
	}
	switch m.way {
	case dax:
		m.streamFence(off, parts)
		return nil
	case pageCache:
		return m.writeThrough(off, n, parts)
	case recorded:
		return m.recordWrite(off, n, parts, class)
	}
	for _, p := range parts {
		m.put(off, p)
		off += int64(len(p))
	}
	return nil
}

// total checks the parts of a write, and returns how long they are together.
func (m *Medium) total(off int64, parts [][]byte) (int64, error) {
	var n int64
	for _, p := range parts {
		if len(p)%Word != 0 {
			return 0, fail("write", off+n, int64(len(p)), ErrAlign)
		}
		n += int64(len(p))
	}
	return n, m.aligned("write", off, n)
}

// StorePersist8 stores a word as [Medium.Store8] does, and makes its line durable, with what
// was stored there before it.
func (m *Medium) StorePersist8(off int64, v uint64, class Class) error {
	if err := m.aligned("store", off, Word); err != nil {
		return err
	}
	switch m.way {
	case dax:
		m.store8FlushFence(off, v)
		return nil
	case recorded:
		return m.recordStorePersist8(off, v, class)
	}
	if err := m.Store8(off, v, class); err != nil {
		return err
	}
	return m.Persist(off, Word)
}
