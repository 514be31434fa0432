package inspect

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/pmem"
)

var le = binary.LittleEndian

// printer writes values: as text for people, or as JSON.
type printer struct {
	b       []byte
	json    bool
	most    int // elements of an array, and bytes, that are shown as text; 0 is all
	content []byte
	left    int // values that may still be written
}

// value appends an object of a type. What the descriptor says beyond the object is left out.
func (s *shape) value(b, content []byte, asJSON bool, most int) []byte {
	p := &printer{b: b, json: asJSON, most: most, content: content, left: 16 * (len(content) + 64)}
	p.show(s, 0)
	return p.b
}

func (p *printer) add(s string) { p.b = append(p.b, s...) }

// show appends what begins so many bytes behind the first of its sort.
func (p *printer) show(s *shape, delta int64) {
	off := s.Off + delta
	if p.left--; p.left < 0 || off+s.Size > int64(len(p.content)) {
		p.none()
		return
	}
	switch {
	case s.Kind == "struct":
		p.showStruct(s, delta)
	case s.Kind == "array" && len(s.inner) == 1 && s.inner[0].Kind == "uint8" && s.Count == s.Size:
		p.bytes(p.content[off : off+s.Size])
	case s.Kind == "array":
		p.showArray(s, delta)
	default:
		p.leaf(s.Kind, p.content[off:off+s.Size])
	}
}

// none stands for what is not there.
func (p *printer) none() {
	if p.json {
		p.add("null")
		return
	}
	p.add("?")
}

func (p *printer) showStruct(s *shape, delta int64) {
	p.add("{")
	for i, f := range s.inner {
		if i > 0 {
			p.separate()
		}
		if p.json {
			p.string(f.name)
			p.add(":")
		} else {
			p.add(guarantee.Text(f.name) + ": ")
		}
		p.show(f, delta)
	}
	p.add("}")
}

func (p *printer) separate() {
	if p.json {
		p.add(",")
		return
	}
	p.add(", ")
}

func (p *printer) showArray(s *shape, delta int64) {
	p.add("[")
	for i := int64(0); i < s.Count && len(s.inner) == 1 && p.left > 0; i++ {
		if i > 0 {
			p.separate()
		}
		if p.most > 0 && !p.json && i == int64(p.most) {
			p.add(fmt.Sprintf("… %d more", s.Count-i))
			break
		}
		p.show(s.inner[0], delta+i*(s.Size/s.Count))
	}
	p.add("]")
}

// bytes appends bytes: in JSON in hex; as text where they are text, with zeros at the end left out.
func (p *printer) bytes(b []byte) {
	if p.json {
		p.string(hex.EncodeToString(b))
		return
	}
	p.b = append(p.b, showBytes(b, p.most)...)
}

// showBytes shows bytes to people, at most so many.
func showBytes(b []byte, most int) string {
	text := b
	for len(text) > 0 && text[len(text)-1] == 0 {
		text = text[:len(text)-1]
	}
	rest := ""
	if n := len(b) - most; most > 0 && len(text) > most {
		text, b, rest = text[:most], b[:most], fmt.Sprintf(" … %d bytes more", n)
	}
	for _, c := range text {
		if (c < ' ' || c > '~') && c != '\n' && c != '\t' {
			return "0x" + hex.EncodeToString(b) + rest
		}
	}
	return strconv.Quote(string(text)) + rest
}

func (p *printer) string(s string) {
	b, err := json.Marshal(s)
	if err != nil {
		b = []byte(`""`)
	}
	p.b = append(p.b, b...)
}

// sizes of values, by kind.
var sizes = map[string]int{"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "float32": 4,
	"int64": 8, "uint64": 8, "float64": 8, "complex64": 8, "ref": 8, "complex128": 16}

// leaf appends a value. One of a kind that this version does not know is shown as bytes.
func (p *printer) leaf(kind string, b []byte) {
	if sizes[kind] != len(b) || len(b) == 0 {
		p.bytes(b)
		return
	}
	switch kind {
	case "bool":
		p.b = strconv.AppendBool(p.b, b[0] != 0)
	case "ref":
		p.ref(pmem.AddressOf(le.Uint64(b)))
	case "float32":
		p.float(float64(math.Float32frombits(le.Uint32(b))), 32)
	case "float64":
		p.float(math.Float64frombits(le.Uint64(b)), 64)
	case "complex64":
		p.pair(float64(math.Float32frombits(le.Uint32(b))), float64(math.Float32frombits(le.Uint32(b[4:]))), 32)
	case "complex128":
		p.pair(math.Float64frombits(le.Uint64(b)), math.Float64frombits(le.Uint64(b[8:])), 64)
	default:
		p.integer(kind[0] == 'i', b)
	}
}

func (p *printer) integer(signed bool, b []byte) {
	var word [8]byte
	copy(word[:], b)
	v := le.Uint64(word[:])
	if !signed {
		p.b = strconv.AppendUint(p.b, v, 10)
		return
	}
	shift := 64 - 8*len(b)
	p.b = strconv.AppendInt(p.b, int64(v<<shift)>>shift, 10)
}

func (p *printer) pair(re, im float64, bits int) {
	p.add("[")
	p.float(re, bits)
	p.separate()
	p.float(im, bits)
	p.add("]")
}

// float appends a number. JSON has none for those that are not finite.
func (p *printer) float(v float64, bits int) {
	s := strconv.FormatFloat(v, 'g', -1, bits)
	if p.json && (math.IsNaN(v) || math.IsInf(v, 0)) {
		p.string(s)
		return
	}
	p.add(s)
}

func (p *printer) ref(a pmem.Address) {
	switch {
	case !p.json:
		p.add(a.String())
	case a.IsNil():
		p.add("null")
	default:
		p.string(a.String())
	}
}
