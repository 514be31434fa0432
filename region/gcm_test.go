package region_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"

	"github.com/safevma/safevma/internal/memsearch"
	"github.com/safevma/safevma/region"
)

// It is AES-GCM, in each kind of region, and refuses in place of panicking.
func TestGCM(t *testing.T) {
	key, nonce := make([]byte, 32), make([]byte, region.GCMNonceSize)
	rand.Read(key)
	block, _ := aes.NewCipher(key)
	ordinary, _ := cipher.NewGCM(block)
	for _, options := range [][]region.Option{nil, {region.Windowed()}, {region.Guarded(), region.Resident()}} {
		g, err := region.NewGCM(key, options...)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := g.Seal(nil, nonce, []byte("text"), []byte("data"))
		if err != nil || !bytes.Equal(sealed, ordinary.Seal(nil, nonce, []byte("text"), []byte("data"))) {
			t.Errorf("sealed %x, %v", sealed, err)
		}
		if len(sealed) != 4+region.GCMOverhead || ordinary.NonceSize() != region.GCMNonceSize {
			t.Error("other sizes")
		}
		if opened, err := g.Open(nil, nonce, sealed, []byte("data")); err != nil || string(opened) != "text" {
			t.Errorf("opened %q, %v", opened, err)
		}
		if _, err := g.Open(nil, nonce, sealed, nil); !errors.Is(err, region.ErrCorrupt) {
			t.Error(err)
		}
		if _, err := g.Seal(nil, nonce[1:], nil, nil); !errors.Is(err, region.ErrSize) {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if _, err := g.Seal(nil, nonce, nil, nil); !errors.Is(err, region.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := region.NewGCM(key[:5]); err == nil {
		t.Error("a key of 5 bytes")
	}
	if _, err := region.NewGCM(key, region.ReadOnlyUntilClose(func([]byte) error { return nil })); !errors.Is(err, region.ErrConflict) && !errors.Is(err, region.ErrUnsupported) {
		t.Error(err)
	}
}

// The key of a GCM is in its region alone, where crypto/aes leaves it on the Go heap: the limit that
// package region names. Both are expanded from a region. It is tried three times: a goroutine that
// is preempted has the registers, with parts of a key, on its stack.
func TestGCMLeavesNothing(t *testing.T) {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("expanded keys begin otherwise here")
	}
	var hits []memsearch.Hit
	for range 3 {
		if hits = keyOfGCM(t); len(hits) == 0 {
			return
		}
	}
	t.Errorf("it is at %v", hits)
}

// keyOfGCM returns where else a key is than in its region, and in that of a GCM.
func keyOfGCM(t *testing.T) (elsewhere []memsearch.Hit) {
	key, err := region.Map(32)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	rand.Read(key.Bytes())
	needle := memsearch.Of(key.Bytes())
	g, err := region.NewGCM(key.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	hits := find(t, needle)
	for _, h := range hits {
		if !h.In(key.Bytes()) && !h.In(g.Region().Bytes()) {
			elsewhere = append(elsewhere, h)
		}
	}
	if len(hits)-len(elsewhere) != 2 {
		t.Errorf("it should be in both regions, and is at %v", hits)
	}
	block, _ := aes.NewCipher(key.Bytes())
	if len(find(t, needle)) <= len(hits) {
		t.Error("the control: crypto/aes left nothing")
	}
	runtime.KeepAlive(block)
	return elsewhere
}

// What code leaves on its stack stays there, and Do erases it where it can.
func TestDoErases(t *testing.T) {
	secret, err := region.Map(32)
	if err != nil {
		t.Fatal(err)
	}
	defer secret.Close()
	rand.Read(secret.Bytes())
	needle := memsearch.Of(secret.Bytes())
	leave(secret.Bytes())
	if hits := find(t, needle); len(hits) < 2 {
		t.Skip("the control: it left nothing")
	}
	rand.Read(secret.Bytes())
	needle = memsearch.Of(secret.Bytes())
	region.Do(func() { leave(secret.Bytes()) })
	if hits := find(t, needle); region.Erases && len(hits) != 1 {
		t.Errorf("it is at %v", hits)
	}
}

var sum int

// leave copies a secret to the far end of a big frame.
//
//go:noinline
func leave(b []byte) {
	var frame [32 << 10]byte
	copy(frame[:], b)
	for _, c := range frame {
		sum += int(c)
	}
}
