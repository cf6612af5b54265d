package server

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server/http1"
	"github.com/goasgi/goasgi/server/observe"
)

const (
	// pollLimit bounds the events of the application in a batch, and eventLimit
	// those of epoll, so that neither side starves the other.
	pollLimit  = 256
	eventLimit = 256
	// acceptLimit bounds the connections accepted in a batch.
	acceptLimit = 64
)

// connEvents is what a connection is registered for, once and for all.
const connEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// A loop is one goroutine with one epoll instance and one port. All of its
// fields belong to that goroutine but for the mailbox and the counters.
type loop struct {
	port asgi.Port
	epfd int
	wake int // eventfd of the mailbox

	// Constant from the start on.
	epoch        time.Time
	limits       http1.Limits
	limit        int           // LimitConcurrency
	inFlight     *atomic.Int64 // calls of all loops, counted if there is a limit
	oneShot      bool          // no connection is kept for a second request
	noDate       bool
	serverLine   []byte
	headExtra    int // bytes that the server adds to a head, at most
	plainHeaders []asgi.Header
	retryHeaders []asgi.Header
	log          *observe.Logger
	access       *observe.AccessLog

	now    int64  // nanoseconds since epoch, read once for each batch
	second int64  // of the date
	date   []byte // the Date line

	conns       []*conn // by descriptor
	connections int
	freeConns   []*conn
	closed      []*conn // closed in this batch; events of the batch may still name them
	idle        timerList
	linger      timerList
	dirty       []*conn // to be flushed after the batch
	flushing    []*conn // the list that dirty is exchanged with
	blocked     []*conn // their next step waits for room in the port; nil: closed since
	spare       []*conn // the list that blocked is exchanged with

	calls   []*call // by slot
	free    []*call
	open    int     // calls that live
	waiting []*call // something is to be said about them when the port has room

	listeners []*listener
	resumeAt  int64 // when accepting, which is paused, goes on; never: it is not paused
	quietTill int64 // no line about a pause before that
	warnTill  int64 // no line about malformed requests before that

	draining bool
	graceEnd int64 // when calls are cancelled
	drained  chan struct{}
	stopped  bool

	// Scratch memory of a batch.
	events [eventLimit]unix.EpollEvent
	buf    []byte // what is read; of readSize bytes
	req    http1.Request
	resp   http1.Response
	scope  asgi.Scope
	iovec  [3]unix.Iovec
	msg    unix.Msghdr
	text   []byte
	target []byte
	sa     unix.RawSockaddrAny
	saLen  uint32

	buffers  bufferPool
	entries  observe.AccessBuffer
	accepted uint64
	requests uint64
	counters counters

	mail struct {
		sync.Mutex
		letters []func()
		ended   bool
	}
	done chan struct{} // closed when the goroutine has ended
}

// post has f called in the loop's goroutine. It returns false if that has
// ended.
func (l *loop) post(f func()) bool {
	l.mail.Lock()
	defer l.mail.Unlock()
	if l.mail.ended {
		return false
	}
	l.mail.letters = append(l.mail.letters, f)
	if len(l.mail.letters) == 1 {
		one := [8]byte{1}
		unix.Write(l.wake, one[:])
	}
	return true
}

// readMail does what was posted.
func (l *loop) readMail() {
	var b [8]byte
	sysRead(l.wake, b[:])
	l.mail.Lock()
	letters := l.mail.letters
	l.mail.letters = nil
	l.mail.Unlock()
	for _, f := range letters {
		f()
	}
}

// serve is the loop's goroutine.
func (l *loop) serve() {
	defer close(l.done)
	n := 0
	for {
		l.tick()
		for i := range l.events[:n] {
			l.dispatch(&l.events[i])
		}
		l.expire()
		l.retry()
		l.port.Flush()
		polled := l.port.Poll(l, pollLimit)
		l.flushDirty()
		l.port.Flush()
		l.endBatch()
		if l.stopped {
			l.end()
			return
		}
		n = sysEpollPeek(l.epfd, l.events[:])
		if n > 0 && !l.onlyPort(n) || polled > 0 || len(l.dirty) > 0 {
			continue
		}
		n = 0
		if !l.port.Sleep() {
			continue
		}
		n = sysEpollWait(l.epfd, l.events[:], l.timeout())
		l.port.Awake()
	}
}

// onlyPort tells whether the port's descriptor is all that is ready. That alone
// is no work: what it tells of is what Sleep looks for.
func (l *loop) onlyPort(n int) bool {
	return n == 1 && int(l.events[0].Fd) == l.port.FD() && l.events[0].Pad == 0
}

// dispatch takes one event of epoll. Its data is the descriptor and, for a
// connection, the serial number of its conn, which is never 0.
func (l *loop) dispatch(e *unix.EpollEvent) {
	fd := int(e.Fd)
	if e.Pad != 0 {
		if c := l.conns[fd]; c != nil && c.serial == uint32(e.Pad) {
			l.ready(c, e.Events)
		}
		return
	}
	switch fd {
	case l.wake:
		l.readMail()
	case l.port.FD():
		// Poll follows anyway.
	default:
		for _, ln := range l.listeners {
			if ln.fd == fd {
				l.accept(ln, acceptLimit)
			}
		}
	}
}

// flushDirty flushes the connections on which something happened, but not those
// that are marked meanwhile: they have their turn in the next batch.
func (l *loop) flushDirty() {
	list := l.dirty
	l.dirty = l.flushing[:0]
	for _, c := range list {
		c.dirty = false
		if c.fd >= 0 {
			l.flush(c)
		}
	}
	l.flushing = list
}

// endBatch hands over what gathered in a batch.
func (l *loop) endBatch() {
	if len(l.closed) > 0 {
		keep := l.closed[:0]
		for _, c := range l.closed {
			if c.dirty {
				keep = append(keep, c) // it is still in the list
				continue
			}
			l.freeConns = append(l.freeConns, c)
		}
		l.closed = keep
	}
	if l.access != nil && l.entries.Len() > 0 {
		l.access.Take(&l.entries)
	}
	l.counters.publish(l)
	if l.draining {
		l.checkDrained()
	}
}

// adopt takes a new connection into the loop.
func (l *loop) adopt(fd int, client, server asgi.Addr) {
	var c *conn
	if n := len(l.freeConns); n > 0 {
		c = l.freeConns[n-1]
		l.freeConns = l.freeConns[:n-1]
	} else {
		c = new(conn)
	}
	serial := c.serial
	if serial == 0 {
		serial = 1
	}
	*c = conn{fd: fd, serial: serial, client: client, server: server}
	for fd >= len(l.conns) {
		l.conns = append(l.conns, make([]*conn, max(64, len(l.conns)))...)
	}
	if err := sysEpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, connEvents, uint64(uint32(fd))|uint64(serial)<<32); err != nil {
		l.log.Errorf("server: epoll_ctl: %v", err)
		sysClose(fd)
		c.fd = -1
		l.freeConns = append(l.freeConns, c)
		return
	}
	l.conns[fd] = c
	l.connections++
	l.accepted++
	l.idle.add(c, l.now)
}

// end closes all that the loop has.
func (l *loop) end() {
	l.mail.Lock()
	l.mail.ended = true
	letters := l.mail.letters
	l.mail.letters = nil
	l.mail.Unlock()
	for _, f := range letters {
		f()
	}
	for _, c := range l.conns {
		if c != nil {
			l.gone(c)
		}
	}
	l.port.Flush()
	l.endBatch()
	l.listeners = nil
	sysClose(l.epfd)
	sysClose(l.wake)
}

// warnRefused logs a malformed request, at most once a second: they come from
// anybody.
func (l *loop) warnRefused(c *conn, reason string) {
	if l.now < l.warnTill {
		return
	}
	l.warnTill = l.now + int64(time.Second)
	from := c.client.Host
	if from == "" {
		from = "unix"
	}
	l.log.Warningf("Invalid HTTP request received from %s: %s", from, reason)
}

func (s *counters) publish(l *loop) {
	s.connections.Store(int64(l.connections))
	s.calls.Store(int64(l.open))
	s.accepted.Store(l.accepted)
	s.requests.Store(l.requests)
}

// bufferSizes are the capacities that buffers have: a usual head and answer, a
// big one, half a window and a window with what is around them, and more than
// that only for answers to pipelined requests.
var bufferSizes = [...]int{4 << 10, 20 << 10, asgi.Window/2 + 8<<10, asgi.Window + 8<<10, 2*asgi.Window + 16<<10}

// keepBuffers is how many bytes of each size a pool keeps.
const keepBuffers = 2 << 20

// A bufferPool lends buffers to the connections of a loop.
type bufferPool [len(bufferSizes)][][]byte

// get returns an empty buffer with room for n bytes.
func (l *loop) get(n int) []byte {
	for i, size := range bufferSizes {
		if n <= size {
			list := l.buffers[i]
			if k := len(list); k > 0 {
				b := list[k-1]
				l.buffers[i] = list[:k-1]
				return b
			}
			return make([]byte, 0, size)
		}
	}
	return make([]byte, 0, n)
}

// put takes a buffer back.
func (l *loop) put(b []byte) {
	for i, size := range bufferSizes {
		if cap(b) == size {
			if len(l.buffers[i]) < keepBuffers/size {
				l.buffers[i] = append(l.buffers[i], b[:0])
			}
			return
		}
	}
}

// room makes room for n more bytes in the out buffer of a connection.
func (l *loop) room(c *conn, n int) {
	if cap(c.out)-len(c.out) >= n {
		return
	}
	pending := c.out[c.outAt:]
	if c.outAt > 0 && cap(c.out)-len(pending) >= n {
		c.out = c.out[:copy(c.out, pending)]
		c.outAt = 0
		return
	}
	b := append(l.get(len(pending)+n), pending...)
	if c.out != nil {
		l.put(c.out)
	}
	c.out, c.outAt = b, 0
}
