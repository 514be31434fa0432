package pmem

// classes are the sizes of slots, in bytes; a span has slots of one size. They are part of the
// format: four to each doubling. A span uses those up to a quarter of it, which are at most
// 16 KiB. Class 0 is none.
var classes = [...]int64{0, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280, 1536, 1792, 2048,
	2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288, 14336, 16384}

// Classes of spans that have no slots.
const (
	classNone = 0   // nothing is in it
	classHead = 254 // a big object begins in it
	classRest = 255 // and goes on in it
)

// classFor returns the smallest class whose slots take so many bytes, or 0 where it is a big
// object.
func (g *geometry) classFor(space int64) uint8 {
	if space > g.span/4 {
		return 0
	}
	for c := 1; c < len(classes); c++ {
		if classes[c] >= space {
			return uint8(c)
		}
	}
	return 0
}

// validClass reports whether a span of this pool can be of a class.
func (g *geometry) validClass(c uint8) bool {
	return c == classNone || c >= classHead || int(c) < len(classes) && classes[c] <= g.span/4
}
