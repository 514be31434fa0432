package pool

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/pprof/profile"
)

// sample is a stack from the leaf on: pairs of a function and a file.
func sample(names ...string) *profile.Sample {
	s := &profile.Sample{}
	for i := 0; i < len(names); i += 2 {
		f := &profile.Function{Name: names[i], Filename: "/src/pmem/" + names[i+1]}
		s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: f}}})
	}
	return s
}

func TestWhichCRC(t *testing.T) {
	const pmem = "github.com/safevma/safevma/pmem."
	for _, tt := range []struct {
		what  string
		stack *profile.Sample
		want  bool
	}{
		{"sealing an object", sample("hash/crc32.update", "crc32.go", pmem+"checksum", "format.go", pmem+"(*Tx).sealSmall", "edit.go", pmem+"(*Tx).commit", "commit.go"), true},
		{"reading an object", sample("hash/crc32.ieee", "crc32.go", "hash/crc32.Update", "crc32.go", pmem+"updateCRC", "append.go", pmem+"checkBlock", "access.go"), true},
		{"the record", sample("hash/crc32.update", "crc32.go", pmem+"checksum", "format.go", pmem+"(*Tx).commit", "commit.go"), false},
		{"no CRC", sample(pmem+"(*Tx).sealSmall", "edit.go", pmem+"(*Tx).set", "access.go"), false},
		{"a CRC of somebody else", sample("hash/crc32.update", "crc32.go"), false},
	} {
		if got := objectCRC(tt.stack); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}

// A file that has another name now would count as an object's.
func TestFilesOfRecordsAreThere(t *testing.T) {
	for _, name := range ofRecords {
		if _, err := os.Stat(filepath.Join("../../pmem", name)); err != nil {
			t.Error(err)
		}
	}
}
