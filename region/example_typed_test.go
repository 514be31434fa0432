package region_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/safevma/safevma/region"
)

// Session is plain data: it holds no Go pointers.
type Session struct {
	User  uint32
	Key   [32]byte
	Calls int64
}

// A value of a plain type, in memory with guarantees.
func ExampleNew() {
	s, err := region.New[Session](region.Guarded(), region.NoDump())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	err = s.Write(func(v *Session) error { v.User = 7; v.Calls++; return nil })
	fmt.Println(s.Get().User, s.Get().Calls, err)

	_, err = region.New[struct{ Name string }]()
	fmt.Println(err)
	// Output:
	// 7 1 <nil>
	// region: new: struct { Name string }: Name is a string: it holds a Go pointer, and the garbage collector would not see it: the type can't be in a region
}

// A table that nobody can write any more, of a plain type.
func ExampleFill() {
	limits, err := region.New[[4]int64](region.ReadOnlyUntilClose(region.Fill(func(t *[4]int64) error {
		*t = [4]int64{1, 10, 100, 1000}
		return nil
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer limits.Close()
	fmt.Println(limits.Get()[2]) // 100
}

// A password from a file, straight from the kernel into a region.
func ExampleReadFile() {
	f, err := os.CreateTemp("", "password")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(f.Name())
	f.WriteString("correct horse")
	f.Close()

	r, err := region.ReadFile(f.Name(), 4096, region.Guarded(), region.NoDump())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	ok, err := r.Equal([]byte("correct horse"))
	fmt.Println(r.Size(), ok, err)
	// Output: 13 true <nil>
}

// A password from the environment, which has it no longer.
func ExampleReadEnvironment() {
	os.Setenv("DB_PASSWORD", strings.Repeat("x", 12))
	r, err := region.ReadEnvironment("DB_PASSWORD", region.Guarded())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	_, set := os.LookupEnv("DB_PASSWORD")
	fmt.Println(r.Size(), set)
	// Output: 12 false
}

// A password from the terminal: not shown, and not on the Go heap.
func ExampleReadTerminal() {
	fmt.Print("Password: ")
	r, err := region.ReadTerminal(os.Stdin, 256, region.Resident(), region.NoDump())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	// r.Read(func(password []byte) error { ... })
}

// From a region to a file or socket, without a buffer in between.
func ExampleNewReader() {
	r, err := region.Map(5)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println(io.Copy(region.NewWriter(r), strings.NewReader("hello")))
	fmt.Println(io.Copy(os.Stdout, region.NewReader(r)))
	// Output:
	// 5 <nil>
	// hello5 <nil>
}

// A cipher whose expanded key is in a region.
func ExampleNewGCM() {
	key, err := region.Map(32, region.Guarded())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer key.Close()
	rand.Read(key.Bytes())
	g, err := region.NewGCM(key.Bytes(), region.Guarded(), region.NoDump())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	nonce := make([]byte, region.GCMNonceSize) // used once, ever
	sealed, err := g.Seal(nil, nonce, []byte("text"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := g.Open(nil, nonce, sealed, nil)
	fmt.Println(len(sealed), string(opened), err)
	// Output: 20 text <nil>
}
