package server

import (
	"sync/atomic"
	"testing"

	"net"

	"golang.org/x/sys/unix"
)

// A writeCounter counts what was written.
type writeCounter struct {
	net.Conn
	n atomic.Int64
}

func (w *writeCounter) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.n.Add(int64(n))
	return n, err
}

func dupFD(t *testing.T, fd int) int {
	d, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
