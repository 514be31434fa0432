package probe

import (
	"net"
	"os"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

// secretCopyProbes are about system calls that copy from or to the caller's memory
// (copy_from_user, copy_to_user).
func secretCopyProbes() []Probe {
	all := []reach{{
		id: "sm-copy-write", try: "write to a pipe from it", works: TheBytes,
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				r, w := t.pipe()
				if _, err := sys.Write(w, b[:8]); err != nil {
					return answer(err)
				}
				got := make([]byte, 8)
				n, err := sys.Read(r, got)
				return isWord(got, n, err)
			}
		},
	}, {
		id: "sm-copy-read", try: "read of a pipe into it", works: taken,
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				r, w := t.pipe()
				sys.Write(w, []byte(word))
				return accepted(sys.Read(r, b[:8]))
			}
		},
	}, {
		id: "sm-copy-getrandom", try: "getrandom into it", works: taken,
		do: func(*trial) func([]byte) Answer {
			return func(b []byte) Answer { return accepted(sys.Getrandom(b[:8])) }
		},
	}, {
		id: "sm-copy-clock", try: "clock_gettime into it", works: taken,
		do: func(*trial) func([]byte) Answer {
			return func(b []byte) Answer {
				if err := sys.ClockGettime(b[:16]); err != nil {
					return answer(err)
				}
				return taken
			}
		},
	}, {
		id: "sm-copy-file", try: "write to a file (page cache) from it", works: TheBytes, needs: Needs{Folder: true},
		do: func(t *trial) func([]byte) Answer {
			f := t.file("file", 0)
			return func(b []byte) Answer {
				if _, err := sys.Pwrite(f, b[:8], 0); err != nil {
					return answer(err)
				}
				got := make([]byte, 8)
				n, err := sys.Pread(f, got, 0)
				return isWord(got, n, err)
			}
		},
	}, {
		id: "sm-copy-socket", try: "send on a socket from it", works: taken,
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
				t.must("socketpair", err)
				defer syscall.Close(pair[0])
				defer syscall.Close(pair[1])
				return accepted(syscall.Write(pair[0], b[:8]))
			}
		},
	}, {
		id: "sm-copy-uring", try: "a read into it by a worker thread of io_uring", works: taken,
		do: func(t *trial) func([]byte) Answer {
			return func(b []byte) Answer {
				u := t.uring()
				defer u.Close()
				r, w := t.pipe()
				sys.Write(w, []byte(word))
				return accepted(u.ReadInto(r, b[:8]))
			}
		},
	}, {
		id: "sm-copy-vm-local", try: "process_vm_readv of other memory into it", works: taken,
		do: func(t *trial) func([]byte) Answer {
			from := t.anon(1)
			return func(b []byte) Answer { return accepted(sys.ProcessVMRead(os.Getpid(), b[:8], sys.Addr(from))) }
		},
	}}
	probes := make([]Probe, len(all))
	for i := range all {
		all[i].row, all[i].source, all[i].fails, all[i].lost = "SM-COPY", sourcePointers, "EFAULT", "EFAULT"
		all[i].claim = "pointers to secret memory can't be passed to system calls (here: " + all[i].try + ")"
		probes[i] = all[i].probe()
	}
	return probes
}

// zeroCopy returns what sends memory on a TCP connection of the loopback, whose pages are to
// be sent as they are.
func (t *trial) zeroCopy() func([]byte) (int, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	t.must("listen on the loopback", err)
	defer l.Close()
	conn, err := net.Dial("tcp4", l.Addr().String())
	t.must("connect on the loopback", err)
	peer, err := l.Accept()
	t.must("accept on the loopback", err)
	t.kept = append(t.kept, conn, peer)
	t.must("SO_LINGER", conn.(*net.TCPConn).SetLinger(0)) // the port is free at once
	f, err := conn.(*net.TCPConn).File()
	t.must("the socket", err)
	t.must("SO_ZEROCOPY", sys.EnableZeroCopy(f))
	return func(b []byte) (int, error) { return sys.SendZeroCopy(f, b) }
}
