package gcm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"testing"
)

// It is the cipher of the standard library: each opens what the other seals.
func TestSameCipher(t *testing.T) {
	size, err := Size()
	if err != nil {
		t.Fatal(err)
	}
	place := make([]byte, (size+7)/8*8)
	nonce, data := make([]byte, 12), []byte("data")
	for _, n := range []int{16, 24, 32} {
		key := make([]byte, n)
		rand.Read(key)
		moved, err := New(place, key)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := aes.NewCipher(key)
		ordinary, _ := cipher.NewGCM(block)
		if moved.NonceSize() != ordinary.NonceSize() || moved.Overhead() != ordinary.Overhead() {
			t.Error("other sizes")
		}
		for _, length := range []int{0, 1, 16, 31, 4096} {
			text := make([]byte, length)
			rand.Read(text)
			sealed := moved.Seal(nil, nonce, text, data)
			if !bytes.Equal(sealed, ordinary.Seal(nil, nonce, text, data)) {
				t.Fatalf("key of %d, %d bytes: sealed differently", n, length)
			}
			opened, err := moved.Open(nil, nonce, sealed, data)
			if err != nil || !bytes.Equal(opened, text) {
				t.Fatalf("key of %d, %d bytes: %v", n, length, err)
			}
			sealed[len(sealed)-1] ^= 1
			if _, err := moved.Open(nil, nonce, sealed, data); err == nil {
				t.Error("what was changed opens")
			}
		}
	}
	clear(place)
	// The control: the cipher works from the place, and from nothing else.
	key := make([]byte, 32)
	rand.Read(key)
	moved, _ := New(place, key)
	sealed := moved.Seal(nil, nonce, []byte("text"), nil)
	clear(place[16:200])
	if bytes.Equal(sealed, moved.Seal(nil, nonce, []byte("text"), nil)) {
		t.Error("the cipher works without what is in the place")
	}
}

func TestRefusals(t *testing.T) {
	place := make([]byte, 1024)
	for name, try := range map[string]func() error{
		"key of 17":  func() error { _, err := New(place, make([]byte, 17)); return err },
		"small":      func() error { _, err := New(place[:64], make([]byte, 32)); return err },
		"misaligned": func() error { _, err := New(place[1:], make([]byte, 32)); return err },
	} {
		if try() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
