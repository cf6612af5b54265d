package asgitest

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// A Direct is a port whose application costs nothing: every request gets the
// same response, in the loop's goroutine. It measures a loop alone. Request
// bodies are dropped.
type Direct struct {
	start asgi.Event
	fd    int
	queue []asgi.ID
	next  []asgi.ID
	end   asgi.Event
}

// NewDirect returns a port that answers with that response.
func NewDirect(status int, headers []asgi.Header, body []byte) *Direct {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		panic(fmt.Sprintf("asgitest: eventfd: %v", err))
	}
	return &Direct{fd: fd, start: asgi.Event{Kind: asgi.Start, Status: status, Headers: headers, Body: body}}
}

// Open implements [asgi.Port].
func (d *Direct) Open(id asgi.ID, _ *asgi.Scope, _ []byte, _ bool) bool {
	d.queue = append(d.queue, id)
	return true
}

// Body implements [asgi.Port].
func (d *Direct) Body(asgi.ID, []byte, bool) bool { return true }

// Credit implements [asgi.Port].
func (d *Direct) Credit(asgi.ID, int) bool { return true }

// Disconnect implements [asgi.Port].
func (d *Direct) Disconnect(asgi.ID, bool) bool { return true }

// Cancel implements [asgi.Port].
func (d *Direct) Cancel(asgi.ID) bool { return true }

// Poll implements [asgi.Port]. It answers all that was opened, whatever limit
// is.
func (d *Direct) Poll(h asgi.Handler, _ int) int {
	list := d.queue
	d.queue = d.next[:0]
	for _, id := range list {
		d.start.ID = id
		h.Handle(&d.start)
		d.end = asgi.Event{ID: id, Kind: asgi.End}
		h.Handle(&d.end)
	}
	d.next = list
	return 2 * len(list)
}

// Flush implements [asgi.Port].
func (d *Direct) Flush() {}

// FD implements [asgi.Port].
func (d *Direct) FD() int { return d.fd }

// Sleep implements [asgi.Port].
func (d *Direct) Sleep() bool { return len(d.queue) == 0 }

// Awake implements [asgi.Port].
func (d *Direct) Awake() {}

// Close closes the port's descriptor. The loop must have ended.
func (d *Direct) Close() { unix.Close(d.fd) }
