package mutation

// checkMutants take out what finds damage, and references to what is not there.
func checkMutants() []Mutant {
	const where = `checksum(head) ^ uint32(off/leastStep)`
	all := []Mutant{
		one("CRC of a header", "a damaged header of an object is believed", "read.go", `	if err := checkHead(o.off, o.head[:end+4]); err != nil {
		return err
	}
`, ``),
		one("CRC of a block", "damaged bytes are copied", "read.go", `if checksum(dst) != le.Uint32(o.head[objectHeader+4*i:]) {`, `if false {`),
		one("CRC of a loan", "damaged bytes are lent", "read.go", `if checksum(block(b, i)) != le.Uint32(o.head[objectHeader+4*i:]) {`, `if false {`),
		one("incarnation", "a reference to an object that was freed finds its successor", "read.go", `if o.incarnation != incarnation {`, `if false {`),
		one("state and length", "a header with an impossible length is believed", "read.go",
			`if o.state != stateLive || spaceOf(int64(o.size)) > o.s.room(&tx.p.geometry) {`, `if false {`),
		one("header and bitmap", "a slot that the bitmap calls taken, and its header free, is stale, and not damage", "read.go",
			`case o.s.slot == 0 || tx.p.taken(o.place):`, `case false:`),
		one("CRC of a free slot", "a damaged header of a free slot is believed", "object.go",
			`case le.Uint32(b[objectHeader:]) != headCRC(off, b[:objectHeader]) && h.state == stateFree:`, `case false:`),
		one("place of a header", "an object that was written to a wrong place is believed", "object.go", where, `checksum(head) ^ uint32(0*off)`),
		one("live slot is free", "a slot that the bitmap calls free, and its header live, is used", "object.go", `	case h.state != stateFree:
		return 0, damaged(off, "the slot is free, and the object in it is live")
`, ``),
		one("CRC of a root", "a damaged entry of the table of roots is believed", "root.go",
			`if le.Uint32(b[60:]) != entryChecksum(rootPlace(i), b[:60]) || b[12] > mostRootName {`, `if b[12] > mostRootName {`),
		one("CRC of a type", "a damaged entry of the table of types is believed", "registry.go",
			`if le.Uint32(b[60:]) != entryChecksum(typePlace(i), b[:60]) {`, `if false {`),
		one("CRC of a descriptor", "a damaged descriptor of a span is believed", "descriptor.go", `case crc != uint64(descriptorCRC(span, w)):`, `case false:`),
		one("end of the roots", "the end of the table of roots is not written", "root.go", `if e.name == "" && i+1 < roots {`, `if false {`),
		one("end of the types", "the end of the table of types is not written", "registry.go", `if next := len(all) + 1; next < types {`, `if next := 0; next > 0 {`),
		one("bytes that stay", "a CRC is computed over bytes that were not checked", "write.go", `		if err := tx.half(tx.fetch(e, 0, tx.content(e))); err != nil {
			return err
		}
`, `		copy(tx.content(e), make([]byte, e.header.size))
`),
		one("type of an object", "an object is read as one of another type", "want.go", `case h.typ != w.typ || w.sized && int64(h.size) != w.size:`, `case false:`),
		one("immutable", "an object that was declared immutable changes", "want.go", `case w.change && immutable:`, `case false:`),
		one("borrowed while it may change", "an object that may change is lent", "want.go", `case w.lend && !immutable:`, `case false:`),
	}
	for i := range all {
		all[i].Later = true
	}
	return all
}
