package plain

import (
	"reflect"
	"strings"
	"testing"
)

type key struct {
	ID    uint64
	Bytes [32]byte
	at    uintptr
}

type nested struct {
	Keys [4]key
	Meta struct {
		Sum  complex128
		Name string
	}
}

type list struct{ Items [2]struct{ next *list } }

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		of   reflect.Type
		want string // "" where it is plain
	}{
		{reflect.TypeFor[int](), ""},
		{reflect.TypeFor[bool](), ""},
		{reflect.TypeFor[key](), ""},
		{reflect.TypeFor[[0]*int](), ""},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[nested](), "Meta.Name is a string:"},
		{reflect.TypeFor[list](), "Items[].next is a *plain.list"},
		{reflect.TypeFor[string](), "the type is a string"},
		{reflect.TypeFor[[]byte](), "the type is a []uint8"},
		{reflect.TypeFor[[3]error](), "[] is an error"},
		{reflect.TypeFor[map[int]int](), "is a map"},
		{reflect.TypeFor[chan int](), "is a chan"},
		{reflect.TypeFor[func()](), "is a func"},
	} {
		err := Check(tt.of)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: %v, want %q", tt.of, err, tt.want)
		}
	}
	_ = key{}.at
}
