// Command program is what the tests of the lab run inside: each word does one thing.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	verb, args := os.Args[1], os.Args[2:]
	verbs[verb](args)
}

var verbs = map[string]func([]string){
	"exit": func(args []string) {
		n, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(n)
	},
	"kill": func(args []string) {
		n, err := strconv.Atoi(args[0])
		check(err)
		check(syscall.Kill(os.Getpid(), syscall.Signal(n)))
		wait()
	},
	"panic": func([]string) { // of the kernel
		check(os.WriteFile("/proc/sys/kernel/sysrq", []byte("1"), 0))
		check(os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
		wait()
	},
	"hang": func([]string) {
		fmt.Println("hanging")
		wait()
	},
	"endless": func(args []string) { // output
		if args[0] == "deaf" {
			signal.Ignore(syscall.SIGPIPE)
		}
		for {
			if _, err := fmt.Println(strings.Repeat("x", 1000)); err != nil {
				os.Exit(7)
			}
		}
	},
	"big": func(args []string) { // output of so many lines
		n, err := strconv.Atoi(args[0])
		check(err)
		for i := range n {
			fmt.Printf("%08d %s\n", i, strings.Repeat("x", 90))
		}
	},
	"orphan": func([]string) { // leaves a process that holds the output open
		cmd := exec.Command(os.Args[0], "hang")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		check(cmd.Start())
		fmt.Println("orphan", cmd.Process.Pid)
	},
	"environment": func([]string) {
		dir, err := os.Getwd()
		check(err)
		fmt.Println(dir, os.Getuid(), os.Getenv("GREETING"))
	},
	"clock":  func([]string) { fmt.Println(time.Now().Unix()) },
	"random": func([]string) { fmt.Println(rand.Text()) },
	"leave": func(args []string) { // a file to bring back
		check(os.WriteFile(args[0], []byte("from inside\n"), 0o640))
		check(os.MkdirAll(filepath.Join(args[1], "deep"), 0o755))
		check(os.WriteFile(filepath.Join(args[1], "deep/er"), []byte("deeper\n"), 0o644))
	},
	"show": func(args []string) {
		text, err := os.ReadFile(args[0])
		check(err)
		fmt.Print(string(text))
	},
	"smuggle": func(args []string) { check(os.Symlink("/etc", args[0])) },
	"durable": func(args []string) { durable(args[0], args[1]) },
	"dax":     func(args []string) { dax(args[0], args[1]) },
	"list":    func(args []string) { list(args[0]) },
}

// wait waits for ever. An empty select would be found to be a deadlock.
func wait() {
	for {
		time.Sleep(time.Hour)
	}
}

// mark tells the host side.
func mark(text string) {
	file, err := os.OpenFile(os.Getenv("SAFEVMA_LAB_MARK"), os.O_WRONLY, 0)
	check(err)
	_, err = fmt.Fprintln(file, text)
	check(err)
}

// durable writes one file that is synced with its directory and one that is not, and
// waits for its end.
func durable(dir, name string) {
	write := func(name string, sync bool) {
		file, err := os.Create(filepath.Join(dir, name))
		check(err)
		_, err = file.WriteString(strings.Repeat(name+"\n", 1000))
		check(err)
		if sync {
			check(file.Sync())
			d, err := os.Open(dir)
			check(err)
			check(d.Sync())
		}
	}
	write("synced-"+name, true)
	write("unsynced-"+name, false)
	mark("cut")
	wait()
}

// dax writes one file through a MAP_SYNC mapping and one through an ordinary shared one,
// and syncs neither.
func dax(dir, name string) {
	const mapSync, mapSharedValidate = 0x80000, 0x3
	write := func(name string, flags int) {
		text := strings.Repeat(name+"\n", 1000)
		file, err := os.Create(filepath.Join(dir, name))
		check(err)
		check(file.Truncate(int64(len(text))))
		b, err := syscall.Mmap(int(file.Fd()), 0, len(text), syscall.PROT_READ|syscall.PROT_WRITE, flags)
		check(err)
		copy(b, text)
	}
	write("synced-"+name, mapSharedValidate|mapSync)
	write("unsynced-"+name, syscall.MAP_SHARED)
	mark("cut")
	wait()
}

// list prints the files of a folder that are whole.
func list(dir string) {
	entries, err := os.ReadDir(dir)
	check(err)
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		check(err)
		if string(text) == strings.Repeat(e.Name()+"\n", 1000) {
			fmt.Println(e.Name())
		} else {
			fmt.Println("damaged", e.Name(), len(text))
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
