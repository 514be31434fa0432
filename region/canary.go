package region

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/safevma/safevma/internal/sys"
)

// canaryKey is the process' own: nobody can know what stands where.
var canaryKey = sync.OnceValue(func() uint64 {
	var b [8]byte
	// It never fails: crypto/rand ends the program where the kernel has no random numbers.
	_, _ = rand.Read(b[:])
	return binary.NativeEndian.Uint64(b[:])
})

// canaryWord is what stands at an address, a multiple of 8. It differs from place to place, so
// that a canary that was copied with its surroundings is not taken for one.
func canaryWord(key, addr uint64) uint64 {
	word := (addr ^ key) * 0x9e3779b97f4a7c15
	return word ^ word>>29
}

func canaryByte(key, addr uint64) byte {
	return byte(canaryWord(key, addr&^7) >> (addr & 7 * 8))
}

// setCanaries fills what a guarded region has beside its data. The pages may be written in
// another place than where they will be seen: at r.pages.
func (r *Region) setCanaries(pages []byte) {
	key, at := canaryKey(), sys.Addr(r.pages)
	begin := r.begin()
	for i := 0; i < begin; i += 8 {
		binary.LittleEndian.PutUint64(pages[i:], canaryWord(key, at+uint64(i)))
	}
	for i := begin + r.size; i < len(pages); i++ {
		pages[i] = canaryByte(key, at+uint64(i))
	}
}

// checkCanaries needs readable pages.
func (r *Region) checkCanaries(op string) error {
	before, behind := r.slack()
	where := ""
	if at := firstDamage(before); at >= 0 {
		where = fmt.Sprintf("%d bytes before the data", len(before)-at)
	} else if at := firstDamage(behind); at >= 0 {
		where = fmt.Sprintf("%d bytes behind the end of the data", at)
	} else {
		return nil
	}
	return &Error{Op: op, Guarantee: guarded.String(), Requirement: canaryRequirement,
		Reason: "a canary was overwritten " + where, Err: ErrCorrupt}
}

const canaryRequirement = "SV-INT-03"

// firstDamage returns the index of the first byte that is not a canary, or -1.
func firstDamage(slack []byte) int {
	key, at := canaryKey(), sys.Addr(slack)
	i := 0
	if at%8 == 0 {
		for i+8 <= len(slack) && binary.LittleEndian.Uint64(slack[i:]) == canaryWord(key, at+uint64(i)) {
			i += 8
		}
	}
	for ; i < len(slack); i++ {
		if slack[i] != canaryByte(key, at+uint64(i)) {
			return i
		}
	}
	return -1
}
