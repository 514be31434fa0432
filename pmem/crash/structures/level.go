package structures

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safevma/safevma/pmem/medium"
)

// Level is a hash table after Level hashing (Zuo, Hua and Wu, OSDI 2018): two levels of
// buckets of four slots, each key in one of two buckets of a level. A token, one byte for each
// slot, says that the slot is taken. Tokens and slots stand in different lines.
//
//	bucket of 128 bytes
//	0     tokens of slots 0 to 3, a byte each
//	64    slots: key, value
type Level struct {
	// TokenFirst is the bug of insertions (Witcher 7, 8, 10 to 15): the token is stored before
	// the slot is durable, and may reach the medium without it.
	TokenFirst bool
	// TwoTokens is the bug of updates (Witcher 9 and 16): the new slot's token is set and the
	// old one's is cleared by two stores, between which a crash finds the key twice or not.
	TwoTokens bool

	m *medium.Medium
}

const (
	levelBuckets = 4 // of the top level; the bottom one has half of them
	levelSlots   = 4
	bucketLen    = 128
	// LevelSize is the size of the medium.
	LevelSize = 4096
)

// OpenLevel opens a table, or an empty medium. There is nothing to recover.
func OpenLevel(m *medium.Medium) *Level { return &Level{m: m} }

// buckets are where a key may be.
func (l *Level) buckets(key uint64) []int64 {
	f, s := key*0x9e3779b97f4a7c15>>32, key*0xc2b2ae3d27d4eb4f>>32
	all := []int64{int64(f % levelBuckets), int64(s % levelBuckets), levelBuckets + int64(f%(levelBuckets/2)), levelBuckets + int64(s%(levelBuckets/2))}
	for i := range all {
		all[i] *= bucketLen
	}
	return all
}

func slotOff(bucket int64, slot int) int64 { return bucket + 64 + int64(slot)*16 }

func taken(tokens uint64, slot int) bool { return tokens>>(8*slot)&1 != 0 }

// find returns the bucket and slot of a key, and the bucket's tokens.
func (l *Level) find(key uint64) (bucket int64, slot int, tokens uint64, err error) {
	for _, bucket = range l.buckets(key) {
		if tokens, err = l.m.Load8(bucket); err != nil {
			return 0, 0, 0, err
		}
		for slot = range levelSlots {
			k, err := l.m.Load8(slotOff(bucket, slot))
			if err != nil {
				return 0, 0, 0, err
			}
			if taken(tokens, slot) && k == key {
				return bucket, slot, tokens, nil
			}
		}
	}
	return 0, 0, 0, errNoKey
}

var errNoKey = errors.New("no such key")

// Put inserts a key or updates it.
func (l *Level) Put(key, value uint64) error {
	bucket, slot, tokens, err := l.find(key)
	if err == nil {
		return l.update(bucket, slot, tokens, key, value)
	}
	if !errors.Is(err, errNoKey) {
		return err
	}
	for _, bucket := range l.buckets(key) {
		tokens, err := l.m.Load8(bucket)
		if err != nil {
			return err
		}
		if slot := free(tokens); slot >= 0 {
			return l.insert(bucket, slot, tokens, key, value)
		}
	}
	return errFull
}

func free(tokens uint64) int {
	for slot := range levelSlots {
		if !taken(tokens, slot) {
			return slot
		}
	}
	return -1
}

func (l *Level) insert(bucket int64, slot int, tokens, key, value uint64) error {
	at := slotOff(bucket, slot)
	err := errors.Join(l.m.Store8(at, key, class), l.m.Store8(at+8, value, class))
	if !l.TokenFirst {
		err = errors.Join(err, l.m.Persist(at, 16))
	}
	err = errors.Join(err, l.m.Store8(bucket, tokens|1<<(8*slot), class))
	if l.TokenFirst {
		err = errors.Join(err, l.m.Persist(at, 16))
	}
	return errors.Join(err, l.m.Persist(bucket, 8))
}

// update is without a log: the new value goes to a free slot of the same bucket, and one
// store of all tokens changes over. Without a free slot the value, one word, is stored in place.
func (l *Level) update(bucket int64, slot int, tokens, key, value uint64) error {
	next := free(tokens)
	if next < 0 {
		return store8(l.m, slotOff(bucket, slot)+8, value)
	}
	at := slotOff(bucket, next)
	err := errors.Join(l.m.Store8(at, key, class), l.m.Store8(at+8, value, class), l.m.Persist(at, 16))
	if l.TwoTokens {
		err = errors.Join(err, l.m.Store(bucket+int64(slot), []byte{0}, class), l.m.Store(bucket+int64(next), []byte{1}, class))
	} else {
		err = errors.Join(err, l.m.Store8(bucket, tokens&^(1<<(8*slot))|1<<(8*next), class))
	}
	return errors.Join(err, l.m.Persist(bucket, 8))
}

// Delete takes a key out.
func (l *Level) Delete(key uint64) error {
	bucket, slot, tokens, err := l.find(key)
	if err != nil {
		return err
	}
	return store8(l.m, bucket, tokens&^(1<<(8*slot)))
}

// Items returns all that is there, sorted.
func (l *Level) Items() (string, error) {
	var all []string
	for bucket := int64(0); bucket < (levelBuckets+levelBuckets/2)*bucketLen; bucket += bucketLen {
		tokens, err := l.m.Load8(bucket)
		if err != nil {
			return "", err
		}
		for slot := range levelSlots {
			var key, value uint64
			if !taken(tokens, slot) {
				continue
			}
			if err := load8s(l.m, slotOff(bucket, slot), &key, &value); err != nil {
				return "", err
			}
			all = append(all, fmt.Sprintf("%d=%d", key, value))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " "), nil
}
