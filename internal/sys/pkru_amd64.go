package sys

// ReadPKRU returns the rights of the calling thread for every protection key, two bits
// a key: [PkeyDisableAccess] and [PkeyDisableWrite].
//
// Precondition: [PkeyAlloc] has given a key, so that the processor and the kernel have
// them; the goroutine is locked to its thread.
// Source: pkeys(7), Intel SDM volume 2, RDPKRU.
func ReadPKRU() uint32

// WritePKRU sets the rights of the calling thread. Preconditions as [ReadPKRU], and the
// rights for key 0, which all ordinary memory has, stay 0.
func WritePKRU(rights uint32)
