package pool

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/safevma/safevma/internal/memsearch"
	"github.com/safevma/safevma/region"
)

func TestSeal(t *testing.T) {
	p := newPool(t, Options{})
	o := p.Owner("mine", Quota{Secrets: 1})
	for _, n := range []int{1, 16, 32, 1000, MaxSize} {
		text := make([]byte, n)
		rand.Read(text)
		source := bytes.Clone(text)
		sealed, err := p.Seal(source)
		if err != nil {
			t.Fatal(err)
		}
		if !allZero(source) || sealed.Len() != n {
			t.Errorf("the source is left, or %d bytes are %d", n, sealed.Len())
		}
		if n >= 16 && bytes.Contains(sealed.text, text[:16]) {
			t.Error("it is not encrypted")
		}
		for range 2 { // as often as one likes
			s, err := sealed.Open(o)
			if err != nil {
				t.Fatal(err)
			}
			if ok, err := s.Equal(text); !ok || err != nil || s.Owner() != o {
				t.Errorf("%d bytes: opened something else (%v)", n, err)
			}
			if err := s.Free(); err != nil {
				t.Error(err)
			}
		}
		sealed.text[0] ^= 1
		_, err = sealed.Open(o)
		want(t, err, region.ErrCorrupt)
		if o.Used() != (Quota{}) {
			t.Errorf("what did not open is on the account: %v", o.Used())
		}
	}
	for _, n := range []int{0, MaxSize + 1} {
		_, err := p.Seal(make([]byte, n))
		want(t, err, region.ErrSize)
	}
}

func TestSealSecret(t *testing.T) {
	p := newPool(t, Options{})
	s, err := p.Move([]byte("a secret of mine"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.Seal()
	if err != nil {
		t.Fatal(err)
	}
	want(t, s.Free(), ErrFreed)
	_, err = s.Seal()
	want(t, err, ErrFreed)
	_, err = Secret{}.Seal()
	want(t, err, ErrFreed)
	s, err = sealed.Open(nil)
	if ok, _ := s.Equal([]byte("a secret of mine")); !ok || err != nil || s.Owner() != nil {
		t.Error("opened something else: ", err)
	}
	other := newPool(t, Options{})
	if _, err := sealed.Open(other.Owner("x", Quota{})); err == nil {
		t.Error("opened for an owner of another pool")
	}
}

func TestSealEnds(t *testing.T) {
	w := newPool(t, Options{Guarantees: []region.Option{region.Windowed()}})
	_, err := w.Seal([]byte{1})
	want(t, err, ErrWindowed)
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := p.Seal([]byte{1})
	if err := errors.Join(err, p.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = sealed.Open(nil)
	want(t, err, region.ErrClosed)
	_, err = p.Seal([]byte{1})
	want(t, err, region.ErrClosed)
}

// Nonces differ, also of goroutines at one time.
func TestNonces(t *testing.T) {
	p := newPool(t, Options{})
	var all sync.WaitGroup
	seen := sync.Map{}
	for range 4 {
		all.Go(func() {
			for range 200 {
				s, err := p.Seal([]byte{1})
				if err != nil {
					t.Error(err)
					return
				}
				if _, twice := seen.LoadOrStore(s.nonce, true); twice {
					t.Error("a nonce was used twice")
				}
			}
		})
	}
	all.Wait()
}

// A sealed secret is nowhere in memory, and an opened one in the pool alone. The key of the pool,
// which is the begin of what it is expanded to, is in the pool alone. The control: a key that
// crypto/aes expanded is on the Go heap, until that is reused.
//
// It is tried three times: who is preempted has the registers, with parts of a secret, on a stack,
// where they stay (runtime/secret erases them). On arm64 that is so nearly always: the cipher leaves
// the expanded key in vector registers that nothing else uses.
func TestWhereItIs(t *testing.T) {
	var err error
	for range 3 {
		if err = whereItIs(t); err == nil {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
	control := make([]byte, 32)
	rand.Read(control)
	needle := memsearch.Of(control)
	block, _ := aes.NewCipher(control)
	aead, _ := cipher.NewGCM(block)
	clear(control)
	if hits := find(t, needle); len(hits) < 2 && expandsPlainly() {
		t.Errorf("the control: a key of crypto/aes is at %v", hits)
	}
	runtime.KeepAlive(aead)
	runtime.KeepAlive(block)
}

// expandsPlainly: an expanded key begins with the key here.
func expandsPlainly() bool { return runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64" }

func whereItIs(t *testing.T) error {
	p := newPool(t, Options{})
	s, err := p.Random(32)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.Bytes()
	needle := memsearch.Of(b)
	if err := inPoolAlone(t, "a secret", p, needle); err != nil {
		return err
	}
	sealed, err := s.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if hits := find(t, needle); len(hits) != 0 {
		return fmt.Errorf("a sealed secret is at %v", hits)
	}
	if _, err := sealed.Open(nil); err != nil {
		t.Fatal(err)
	}
	if err := inPoolAlone(t, "an opened secret", p, needle); err != nil || !expandsPlainly() {
		return err
	}
	key, _ := p.sealing.Load().key.Bytes()
	err = inPoolAlone(t, "the key of the pool", p, memsearch.Of(key[8:40]))
	if err != nil && runtime.GOARCH == "arm64" && !region.Erases {
		t.Log(err)
		return nil
	}
	return err
}

func inPoolAlone(t *testing.T, what string, p *Pool, needle memsearch.Needle) error {
	t.Helper()
	hits := find(t, needle)
	if len(hits) != 1 || !hits[0].In(memory(p, 0)) {
		return fmt.Errorf("%s is at %v", what, hits)
	}
	return nil
}

func find(t *testing.T, needle memsearch.Needle) []memsearch.Hit {
	t.Helper()
	hits, err := needle.Find()
	if err != nil {
		t.Fatal(err)
	}
	return hits
}
