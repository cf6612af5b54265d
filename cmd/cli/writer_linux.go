package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// A writer writes to a descriptor. An os.File would do, but for standard output
// and error the Go runtime makes a broken pipe end the process, and a server
// outlives whoever reads its log.
type writer int

func writerOf(f *os.File) writer { return writer(f.Fd()) }

func (w writer) Write(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := unix.Write(int(w), b[n:])
		switch {
		case err == nil:
			n += m
		case err == unix.EINTR:
		case err == unix.EAGAIN: // somebody has made the terminal or pipe non-blocking
			unix.Poll([]unix.PollFd{{Fd: int32(w), Events: unix.POLLOUT}}, -1)
		default:
			return n, os.NewSyscallError("write", err)
		}
	}
	return n, nil
}
