package layout

import (
	"go/types"

	"github.com/safevma/safevma/cmd/safevma-vet/pool"
)

// mostRanges is how many ranges of data, with padding between them, pmem takes in an array.
const mostRanges = 1 << 12

// tight reports whether t has no array that pmem refuses for its padding, or the way to it.
func tight(path string, t types.Type) (string, bool) {
	if pool.Type(t, "Ref") {
		return "", true
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		if u.Len() == 0 {
			return "", true
		}
		if inner, ok := tight(path+"[]", u.Elem()); !ok {
			return inner, false
		}
		one := ranges(u.Elem(), 0)
		return path, solid(one, sizes.Sizeof(u.Elem())) || int64(len(one))*u.Len() <= mostRanges
	case *types.Struct:
		for f := range u.Fields() {
			if inner, ok := tight(join(path, f.Name()), f.Type()); !ok {
				return inner, false
			}
		}
	}
	return "", true
}

func solid(data [][2]int64, size int64) bool {
	return len(data) == 0 || len(data) == 1 && data[0][1]-data[0][0] == size
}

// ranges returns begin and end of the data in t, without padding. The arrays in t are tight.
func ranges(t types.Type, offset int64) [][2]int64 {
	if pool.Type(t, "Ref") {
		return [][2]int64{{offset, offset + sizes.Sizeof(t)}}
	}
	var list [][2]int64
	switch u := t.Underlying().(type) {
	case *types.Array:
		return repeat(ranges(u.Elem(), 0), offset, sizes.Sizeof(u.Elem()), u.Len())
	case *types.Struct:
		var fields []*types.Var
		for f := range u.Fields() {
			fields = append(fields, f)
		}
		for i, at := range sizes.Offsetsof(fields) {
			list = append(list, ranges(fields[i].Type(), offset+at)...)
		}
	default:
		list = [][2]int64{{offset, offset + sizes.Sizeof(t)}}
	}
	return merge(list)
}

func repeat(one [][2]int64, offset, size, n int64) [][2]int64 {
	if solid(one, size) {
		return [][2]int64{{offset, offset + n*size}}
	}
	var list [][2]int64
	for i := range n {
		for _, r := range one {
			list = append(list, [2]int64{offset + i*size + r[0], offset + i*size + r[1]})
		}
	}
	return merge(list)
}

func merge(list [][2]int64) [][2]int64 {
	var merged [][2]int64
	for _, r := range list {
		if n := len(merged); n > 0 && merged[n-1][1] == r[0] {
			merged[n-1][1] = r[1]
			continue
		}
		merged = append(merged, r)
	}
	return merged
}
