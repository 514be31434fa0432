package fsck

import (
	"testing"

	"github.com/safevma/safevma/pmem"
)

// logged is a pool whose log has some records, and what is not applied is not known elsewhere.
func logged(t *testing.T) *victim {
	v := newVictim(t)
	for i := range 3 {
		update(t, v.p, func(tx *pmem.Tx) error {
			r, err := pmem.Root[node](tx, "list")
			if err != nil {
				return err
			}
			n, err := pmem.Get(tx, r)
			if err != nil {
				return err
			}
			n.Value = uint64(i + 100)
			return pmem.Set(tx, r, n)
		})
	}
	return v
}

// records returns where the live records are.
func (v *victim) records() (all []int64) {
	r, err := pmem.NewReader(v.m)
	if err != nil {
		v.t.Fatal(err)
	}
	end := r.Info().Sequence
	for off := r.LogOffset(); off < r.LogOffset()+r.Info().LogSize; off += 64 {
		if h := v.read(off, 40); le.Uint64(h[16:]) > end-3 && le.Uint64(h[16:]) <= end && le.Uint64(h[8:]) == r.Info().Generation && le.Uint16(h[32:]) == 0 {
			all = append(all, off)
		}
	}
	if len(all) != 3 {
		v.t.Fatalf("%d records: %v", len(all), all)
	}
	return all
}

// R7: an invalid record that others call durable is damage. The last one is a torn end.
func TestLogDamage(t *testing.T) {
	for name, c := range map[string]struct {
		record, at int64
		kinds      string
		torn       bool
	}{
		"header of the first": {0, 20, "log", false},
		"body of the second":  {1, 50, "log", false},
		"generation":          {1, 8, "log", false},
		"body of the last":    {2, 50, "", true},
		"length of the last":  {2, 4, "", true},
		"CRC of the last":     {2, 0, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			v := logged(t)
			mustBeClean(t, v.m)
			v.flip(v.records()[c.record] + c.at)
			r := report(t, v.m)
			if kinds(r) != c.kinds || r.Log.Torn != c.torn || r.Complete != (c.kinds == "") {
				t.Errorf("%q, torn %v, complete %v, %v", kinds(r), r.Log.Torn, r.Complete, r.Problems)
			}
		})
	}
}

// A record that is valid and says what can't be done is no reason to do something else.
func TestSenselessRecord(t *testing.T) {
	for name, change := range map[string]func(body []byte){
		"kind":          func(b []byte) { b[5] |= 0x1c },
		"superblock":    func(b []byte) { le.PutUint64(b, le.Uint64(b)&^(1<<40-1)) },
		"out of it":     func(b []byte) { le.PutUint64(b, le.Uint64(b)|(1<<40-1)) },
		"longer":        func(b []byte) { b[7] |= 0x80 },
		"mask of words": func(b []byte) { b[5] = b[5]&^0x1c | 2<<0 },
	} {
		t.Run(name, func(t *testing.T) {
			v := logged(t)
			at := v.records()[2]
			h := v.read(at, 40)
			b := v.read(at+40, int64(le.Uint32(h[4:]))-40)
			change(b)
			le.PutUint32(h, recordCRC(b, h[4:]))
			v.write(at, append(h, b...))
			if r := report(t, v.m); kinds(r) != "log" || r.Complete {
				t.Errorf("%v", r.Problems)
			}
		})
	}
}
