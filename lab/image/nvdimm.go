package image

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
)

// The kernel takes a bare NVDIMM for a raw block device, which can't do DAX: it has no
// memory map for its pages. What makes it one that can (mode "fsdax") is an info block
// 4 KiB from its beginning, which ndctl would write: struct nd_pfn_sb of
// drivers/nvdimm/pfn.h. With another signature the same block makes a character device
// (mode "devdax"). The file system, or the device, begins at dataOffset.
const (
	infoOffset = 4 << 10
	dataOffset = 2 << 20
	alignment  = 2 << 20
	pageSize   = 4 << 10
	infoSize   = 4 << 10

	signatureFSDAX  = "NVDIMM_PFN_INFO\x00"
	signatureDevDAX = "NVDIMM_DAX_INFO\x00"
)

// infoBlock returns the info block of an NVDIMM of the given size in bytes.
func infoBlock(signature string, size int64, uuid [16]byte) []byte {
	b := make([]byte, infoSize)
	le := binary.LittleEndian
	copy(b[0:16], signature)
	copy(b[16:32], uuid[:]) // parent_uuid, 32..48, stays zero: the NVDIMM has no labels
	le.PutUint16(b[52:], 1) // version_major
	le.PutUint16(b[54:], 4) // version_minor
	le.PutUint64(b[56:], dataOffset)
	le.PutUint64(b[64:], uint64(size-dataOffset)/pageSize) // npfns
	le.PutUint32(b[72:], 1)                                // mode: PFN_MODE_RAM, the map lies in ordinary memory
	le.PutUint32(b[84:], alignment)
	le.PutUint32(b[88:], pageSize)
	le.PutUint16(b[92:], 64) // page_struct_size
	le.PutUint64(b[infoSize-8:], fletcher64(b))
	return b
}

// fletcher64 is the kernel's nd_fletcher64 over 32-bit words, with the last eight bytes,
// where the sum goes, as zero.
func fletcher64(b []byte) uint64 {
	var low uint32
	var high uint64
	for i := 0; i < len(b); i += 4 {
		var word uint32
		if i < len(b)-8 {
			word = binary.LittleEndian.Uint32(b[i:])
		}
		low += word
		high += uint64(low)
	}
	return high<<32 | uint64(low)
}

// NVDIMM makes the file of an emulated NVDIMM. kind is ext4 or xfs for a DAX file
// system, devdax for a character device, raw for a block device that can't do DAX.
func NVDIMM(path, kind string, size int64) error {
	if size%alignment != 0 {
		return fmt.Errorf("an NVDIMM of %d bytes: the size is a multiple of %d", size, alignment)
	}
	file, err := sparse(path, size)
	if err != nil {
		return err
	}
	defer file.Close()
	signature := signatureFSDAX
	switch kind {
	case "raw":
		return file.Close()
	case "devdax":
		signature = signatureDevDAX
	}
	var uuid [16]byte
	if _, err := rand.Read(uuid[:]); err != nil {
		return err
	}
	if _, err := file.WriteAt(infoBlock(signature, size, uuid), infoOffset); err != nil {
		return err
	}
	if kind != "devdax" {
		if err := fill(file, path, kind, size); err != nil {
			return err
		}
	}
	return file.Close()
}

// fill makes a file system in a file of its own, since mkfs knows nothing of offsets,
// and copies what it wrote to its place.
func fill(file *os.File, path, kind string, size int64) error {
	inner := path + ".fs"
	defer os.Remove(inner)
	if err := Disk(inner, kind, size-dataOffset); err != nil {
		return err
	}
	source, err := os.Open(inner)
	if err != nil {
		return err
	}
	defer source.Close()
	return copyData(file, source, dataOffset)
}
