package rules

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

func iecValue(v ref.Val) ref.Val {
	n, ok := v.(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String(iec(int64(n)))
}

func hexValue(v ref.Val) ref.Val {
	n, ok := v.(types.Int)
	if !ok {
		return types.MaybeNoSuchOverloadErr(v)
	}
	return types.String("0x" + strconv.FormatUint(uint64(n), 16))
}

func joinValue(list, separator ref.Val) ref.Val {
	l, isList := list.(traits.Lister)
	sep, isText := separator.(types.String)
	if !isList || !isText {
		return types.MaybeNoSuchOverloadErr(list)
	}
	var b strings.Builder
	for it := l.Iterator(); it.HasNext() == types.True; {
		if b.Len() > 0 {
			b.WriteString(string(sep))
		}
		b.WriteString(text(it.Next()))
	}
	return types.String(b.String())
}

// text formats a value for a message.
func text(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case types.Bool:
		return strconv.FormatBool(bool(v))
	case traits.Lister:
		if v.Size() == types.IntZero {
			return "none"
		}
		if joined, ok := joinValue(v, types.String(", ")).(types.String); ok {
			return string(joined)
		}
	}
	return fmt.Sprint(v.Value())
}

// iec writes a number of bytes in the largest binary unit of which there is at least
// one, with one decimal where that is not exact.
func iec(n int64) string {
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", -u
	}
	unit := max(0, bits.Len64(u)-1) / 10
	size := uint64(1) << (10 * unit)
	whole, tenth := u/size, u%size*10/size // at most 10 × 2^60: no overflow
	if u%size == 0 {
		return fmt.Sprintf("%s%d %s", sign, whole, units[unit])
	}
	return fmt.Sprintf("%s%d.%d %s", sign, whole, tenth, units[unit])
}
