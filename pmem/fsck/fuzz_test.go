package fsck

import (
	"bytes"
	"testing"

	"github.com/safevma/safevma/pmem"
)

// patch changes an image as the fuzzer says, eight bytes a change: where (3 bytes), what CRC is made
// right (1), and what is put there (4).
func patch(b, changes []byte) {
	for ; len(changes) >= 8; changes = changes[8:] {
		at := int(le.Uint32(changes)&0xffffff) % (len(b) - 4)
		copy(b[at:], changes[4:8])
		switch changes[3] % 5 {
		case 1: // an object in a slot of 64 bytes
			at &^= 63
			if n := at + 20; n <= len(b)-44 {
				size := min(int(le.Uint32(b[at+12:])), 256)
				le.PutUint32(b[at+16:], crcOf(b[at+24:min(at+24+size, len(b))]))
				le.PutUint32(b[at+20:], headCRC(int64(at), b[at:at+20]))
			}
		case 2: // a descriptor of a span
			at &^= 255
			i := uint32((at - 32768) / 256)
			le.PutUint32(b[at+8:], crcOf(le.AppendUint32(nil, i), b[at:at+8]))
		case 3: // an entry of a table
			at &^= 63
			le.PutUint32(b[at+60:], crcOf(le.AppendUint32(nil, uint32(at)), b[at:at+60]))
		case 4: // a superblock
			at = at % 2 * 4096
			le.PutUint32(b[at+252:], crcOf(b[at:at+252]))
		}
	}
}

// FuzzCheck: whatever the bytes are, the check ends without a panic.
func FuzzCheck(f *testing.F) {
	good := image(f)
	change := func(at uint32, fix byte, v uint32) []byte {
		return le.AppendUint32(le.AppendUint32(nil, at|uint32(fix)<<24), v)
	}
	f.Add(change(32768+256, 2, 255))
	f.Add(change(32768+256+4, 2, 3))
	f.Add(change(36864+12, 1, 1<<20))
	f.Add(change(36864+64+32, 1, 1<<15))
	f.Add(change(8192, 3, 40960))
	f.Add(change(12288+16, 3, 7))
	f.Add(change(80, 4, 1<<30))
	f.Add(bytes.Join([][]byte{change(104, 4, 64), change(4096+104, 4, 64)}, nil))
	f.Fuzz(func(t *testing.T, changes []byte) {
		b := bytes.Clone(good)
		patch(b, changes[:min(len(changes), 256)])
		r, err := Check(ctx, mediumOf(t, b, &deaf{}))
		if err == nil && r.Clean() && (!r.Complete || r.Unjudged > 0) {
			t.Errorf("nothing is wrong, and not all was looked at: %+v", r)
		}
	})
}

// FuzzRefFields: a descriptor can say anything; what is followed fits in the object.
func FuzzRefFields(f *testing.F) {
	f.Add([]byte("type \"a.T\" 64\nfield \"\" struct 0 64 0 \"\"\nfield \"A\" array 0 64 2 \"\"\nfield \"A[]\" array 0 32 4 \"\"\nfield \"A[][]\" ref 0 8 0 \"a.T\"\n"))
	f.Add([]byte("type \"a.T\" 8\nfield \"A\" array 0 0 4294967295 \"\"\nfield \"A[]\" ref 0 8 0 \"a.T\"\n"))
	f.Add([]byte("type \"a.T\" 64\nfield \"A[\" ref 0 8 0 \"\"\nfield \"[][]\" ref 0 8 0 \"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := pmem.ParseType(text)
		if err != nil {
			return
		}
		fields, err := info.RefFields()
		if err != nil {
			return
		}
		n := int64(0)
		b := make([]byte, min(info.Size, 1<<16))
		for _, field := range fields {
			field.Each(b, func(off int64, _ pmem.Address) {
				if n++; off < 0 || off%8 != 0 || off > info.Size-8 {
					t.Errorf("a reference at %d of %d bytes", off, info.Size)
				}
			})
		}
		if n*8 > info.Size {
			t.Errorf("%d references in %d bytes", n, info.Size)
		}
	})
}
