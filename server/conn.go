package server

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server/http1"
)

// A phase is where a connection stands between what the client sends and what
// the application answers.
//
//	          head complete                body complete
//	phaseHead ────────────▶ phaseBody ──────────────────▶ phaseWait
//	   ▲  ▲                     │ response complete           │ response complete
//	   │  └── rest read ─── phaseDrop                         │
//	   └──────────────────────────────────────────────────────┘
//
// From each of them the connection may go to phaseLinger, and from there
// nowhere.
type phase uint8

const (
	phaseHead   phase = iota // waits for a request head, or has a part of one
	phaseBody                // a call is current, more of its request body is to come
	phaseWait                // a call is current, its request is here, its response is not complete
	phaseDrop                // the response is complete, the rest of the request body is dropped
	phaseLinger              // our direction is shut down, what comes is dropped
)

// An ending is what becomes of a connection when all that is in its out buffer
// has been written.
type ending uint8

const (
	endNot    ending = iota // it goes on
	endLinger               // nothing more is said: shut down our direction and linger
	endBreak                // the response cannot be completed: close, so that the client sees it is short
	endAbort                // as endBreak where only a reset shows that the response is short
)

// A conn is one client connection. It belongs to one loop.
type conn struct {
	fd     int // -1: closed
	serial uint32
	client asgi.Addr
	server asgi.Addr

	phase  phase
	ending ending

	// What epoll said last, less what was found out since. The descriptor is
	// registered edge-triggered, so these must be remembered.
	readable bool // there may be something to read, or an end
	writable bool // the socket may take something
	left     bool // the client has closed its sending side

	dirty   bool // in loop.dirty
	blocked bool // in loop.blocked

	// The current request.
	head      bool // its method is HEAD
	http10    bool
	keepAlive bool // as the client wants it
	expect    bool // the client waits for 100 Continue, and none of the body has come
	body      http1.Body
	call      *call // nil: no call is current

	// The current response, once its head is in out.
	framing http1.Framing
	rest    int64 // of framing Length: body bytes that are still to come
	close   bool  // the head says that this response is the last one

	in   []byte // read and not consumed; in[:inAt] is consumed. nil if there is nothing
	inAt int
	// scanned is how much of a part of a head has been looked through for its
	// end.
	scanned int
	out     []byte // to be written; out[:outAt] is written. nil if there is nothing
	outAt   int

	// Owned by timerList.
	timer      *timerList
	prev, next *conn
	deadline   int64
}

// pending returns how many bytes wait to be written.
func (c *conn) pending() int { return len(c.out) - c.outAt }

const (
	// readSize is the most that is read at once.
	readSize = 64 << 10
	// bigPart is the size of a body part from which on it is written straight
	// from the port's memory: below it a copy is cheaper than a second vector.
	bigPart = 16 << 10
	// readBudget bounds the reads from one connection before others have their
	// turn.
	readBudget = 16
	// readCredit is the credit from which on a body is read on, so that an
	// application that takes little at a time does not cause little reads.
	readCredit = 16 << 10
)

// ready takes what epoll says about a connection.
func (l *loop) ready(c *conn, events uint32) {
	if events&unix.EPOLLERR != 0 || events&unix.EPOLLHUP != 0 && (c.call != nil || c.pending() > 0) {
		l.gone(c)
		return
	}
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 {
		c.readable = true
	}
	if events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0 && !c.left {
		c.left = true
		if c.phase == phaseWait && c.call != nil {
			l.tell(c.call, todoLeft)
		}
	}
	if events&unix.EPOLLOUT != 0 && !c.writable {
		c.writable = true
		if c.pending() > 0 {
			l.mark(c)
		}
	}
	if c.readable {
		l.run(c)
	}
}

// run moves a connection on: consumes what is here, reads, consumes.
func (l *loop) run(c *conn) {
	for budget := readBudget; c.fd >= 0 && !c.blocked && c.ending == endNot; budget-- {
		for c.in != nil {
			n := l.consume(c, c.in[c.inAt:])
			if c.fd < 0 {
				return
			}
			if n == 0 {
				break
			}
			if c.inAt += n; c.inAt == len(c.in) {
				l.dropInput(c)
			}
		}
		if !c.readable || c.blocked || c.ending != endNot {
			return
		}
		size := l.wanted(c)
		if size == 0 {
			return
		}
		if budget == 0 {
			l.mark(c) // to be continued when the others have had their turn
			return
		}
		if c.in != nil {
			l.readMore(c)
			continue
		}
		buf := l.buf[:size]
		n := l.read(c, buf)
		for data := buf[:n]; len(data) > 0; {
			k := l.consume(c, data)
			if c.fd < 0 {
				return
			}
			if data = data[k:]; k == 0 {
				c.in, c.inAt = append(l.get(len(data)), data...), 0
				break
			}
		}
	}
}

// wanted returns how much may be read now. What was read and cannot be passed
// on must be kept, so reading stops where passing on does.
func (l *loop) wanted(c *conn) int {
	switch c.phase {
	case phaseHead:
		if c.pending() > asgi.Window {
			return 0 // the client sends requests and does not read the answers
		}
	case phaseBody:
		if c.in != nil {
			return 0
		}
		credit := asgi.Window - c.call.passed
		if rest := c.body.Remaining(); credit < readCredit && (rest < 0 || int64(credit) < rest) {
			return 0
		}
		return min(credit, readSize)
	case phaseWait:
		return 0
	}
	return readSize
}

// read reads once. It returns 0 when there is nothing, or when an end was found
// and acted upon.
func (l *loop) read(c *conn, buf []byte) int {
	n, errno := sysRead(c.fd, buf)
	switch {
	case errno == unix.EAGAIN:
		c.readable = false
		return 0
	case errno != 0:
		l.gone(c)
		return 0
	case n == 0:
		l.endOfInput(c)
		return 0
	}
	if n < len(buf) && !c.left {
		// A stream that gave less than it was asked for is empty; what comes
		// after that is a new edge.
		c.readable = false
	}
	return n
}

// readMore reads behind the part of a request head that is here already.
func (l *loop) readMore(c *conn) {
	if len(c.in) == cap(c.in) {
		b := append(l.get(2*(len(c.in)-c.inAt)), c.in[c.inAt:]...)
		l.put(c.in)
		c.in, c.inAt = b, 0
	}
	n := l.read(c, c.in[len(c.in):cap(c.in)])
	if c.in != nil {
		c.in = c.in[:len(c.in)+n]
	}
}

// endOfInput acts on the end of what the client sends.
func (l *loop) endOfInput(c *conn) {
	c.readable, c.left = false, true
	switch {
	case c.phase == phaseBody:
		l.gone(c) // the request can never be complete
	case c.pending() > 0:
		// The answers before are still on their way.
		l.dropInput(c)
		c.ending = endLinger
	default:
		l.close(c)
	}
}

// dropInput forgets what was read and not consumed.
func (l *loop) dropInput(c *conn) {
	if c.in != nil {
		l.put(c.in)
		c.in, c.inAt = nil, 0
	}
}

// consume takes bytes that were read, as far as the phase allows it, and
// returns how many; 0 means that none can be taken now.
func (l *loop) consume(c *conn, data []byte) int {
	if c.blocked || c.ending != endNot {
		return 0
	}
	switch c.phase {
	case phaseHead:
		return l.takeHead(c, data)
	case phaseBody:
		return l.takeBody(c, data)
	case phaseDrop:
		_, n, err := c.body.Decode(data)
		if err != nil {
			c.ending = endLinger
			l.mark(c)
			return len(data)
		}
		if c.body.Done() {
			c.phase = phaseHead
		}
		return n
	case phaseLinger:
		return len(data)
	}
	return 0
}

// takeHead takes a request head and what there is of the body.
func (l *loop) takeHead(c *conn, data []byte) int {
	if c.pending() > asgi.Window {
		return 0
	}
	if c.scanned > 0 && len(data) < l.limits.Head {
		found, next := http1.HeadEnd(data, c.scanned)
		if !found {
			c.scanned = next
			return 0
		}
	}
	r := &l.req
	n, err := r.Parse(data, l.limits)
	if err != nil {
		l.refuse(c, err)
		return len(data)
	}
	if n == 0 {
		c.scanned = len(data)
		return 0
	}
	c.scanned = 0
	c.body.Reset(r)
	room := data[n:]
	room = room[:min(len(room), asgi.Window)]
	part, used, err := c.body.Decode(room)
	if err != nil {
		l.refuse(c, err)
		return len(data)
	}
	c.head = string(r.Method) == "HEAD"
	c.http10 = r.Version == asgi.HTTP10
	c.keepAlive = r.KeepAlive
	c.expect = r.Expect100 && used == 0 && !c.body.Done()
	c.phase = phaseWait
	if !c.body.Done() {
		c.phase = phaseBody
	}

	k := l.newCall()
	if k == nil {
		l.logLine(c, r, 503)
		l.answer(c, 503, l.retryHeaders, "Service Unavailable")
		return n + used
	}
	l.scope = asgi.Scope{
		Type: asgi.HTTP, Version: r.Version,
		Method: r.Method, RawPath: r.RawPath, Path: r.Path, Query: r.Query,
		Client: c.client, Server: c.server, Headers: r.Headers,
	}
	if !l.port.Open(k.id, &l.scope, part, c.phase == phaseBody) {
		// The head stays where it is and is parsed again. It is a request that
		// has come, so no timer may close the connection.
		l.freeCall(k)
		c.phase = phaseHead
		if c.timer != nil {
			c.timer.remove(c)
		}
		l.block(c)
		return 0
	}
	l.requests++
	if c.timer != nil {
		c.timer.remove(c)
	}
	c.call, k.conn = k, c
	k.passed = len(part)
	if l.access != nil {
		k.keepLine(r)
	}
	if c.left && c.phase == phaseWait {
		l.tell(k, todoLeft)
	}
	return n + used
}

// takeBody passes a part of the request body on, within the credit.
func (l *loop) takeBody(c *conn, data []byte) int {
	k := c.call
	credit := asgi.Window - k.passed
	if credit <= 0 {
		return 0
	}
	before := c.body
	part, n, err := c.body.Decode(data[:min(len(data), credit)])
	if err != nil {
		l.detach(k)
		if k.started {
			l.breakOff(c)
		} else {
			l.logCall(c, k, 400)
			l.refuse(c, err)
		}
		return len(data)
	}
	done := c.body.Done()
	if (len(part) > 0 || done) && !l.port.Body(k.id, part, !done) {
		c.body = before
		l.block(c)
		return 0
	}
	c.expect = false
	k.passed += len(part)
	if done {
		c.phase = phaseWait
		if c.left {
			l.tell(k, todoLeft)
		}
	}
	return n
}

// refuse answers a request that is not one.
func (l *loop) refuse(c *conn, err error) {
	e := err.(*http1.Error) // the codec has no others
	l.warnRefused(c, e.Reason)
	l.room(c, 512+len(e.Reason)+len(l.serverLine))
	c.out = http1.AppendError(c.out, e.Status, e.Reason, l.dateLine(), l.serverLine)
	c.ending = endLinger
	l.mark(c)
}

// dateLine returns the Date line, or nothing if there shall be none.
func (l *loop) dateLine() []byte {
	if l.noDate {
		return nil
	}
	return l.date
}

// restTooLong tells whether the rest of the request body keeps the connection
// from a further request: it is not known to be short, or the client may never
// send it.
func (l *loop) restTooLong(c *conn) bool {
	if c.phase != phaseBody {
		return false
	}
	rest := c.body.Remaining()
	return c.expect || rest < 0 || rest > asgi.Window
}

// begin puts a response head into the out buffer. body is the first part of the
// body, last tells whether it is the whole.
func (l *loop) begin(c *conn, status int, headers []asgi.Header, body int, last bool) {
	r := &l.resp
	r.Status, r.Headers = status, headers
	r.HTTP10, r.Head = c.http10, c.head
	r.Close = !c.keepAlive || l.oneShot || l.draining || last && l.restTooLong(c)
	r.BodyLength = -1
	if last {
		r.BodyLength = int64(body)
	}
	r.Date = l.dateLine()
	size := 256 + l.headExtra
	for i := range headers {
		size += len(headers[i].Name) + len(headers[i].Value) + 4
	}
	if body < bigPart {
		size += body
	}
	l.room(c, size)
	c.out, c.framing, c.rest, c.close = http1.AppendHead(c.out, r)
}

// What follows on a chunk, on the last chunk, and on none.
var (
	chunkEnd  = []byte(http1.ChunkEnd)
	chunkLast = []byte(http1.ChunkEnd + http1.LastChunk)
	bodyEnd   = []byte(http1.LastChunk)
)

// send puts a part of the response body into the out buffer, or writes it at
// once if it is big.
func (l *loop) send(c *conn, part []byte, last bool) {
	var tail []byte
	switch c.framing {
	case http1.None:
		return
	case http1.Length:
		part = part[:min(int64(len(part)), c.rest)]
		c.rest -= int64(len(part))
	case http1.Chunked:
		if len(part) > 0 {
			l.room(c, 32)
			c.out = http1.AppendChunkHeader(c.out, len(part))
			tail = chunkEnd
			if last {
				tail = chunkLast
			}
		} else if last {
			tail = bodyEnd
		}
	}
	if len(part) >= bigPart && c.writable {
		l.sendBig(c, part, tail)
		return
	}
	l.room(c, len(part)+len(tail))
	c.out = append(append(c.out, part...), tail...)
}

// sendBig writes what is pending, a part and its tail with one call, and keeps
// what the socket does not take.
func (l *loop) sendBig(c *conn, part, tail []byte) {
	pieces := l.iovec[:0]
	for _, b := range [...][]byte{c.out[c.outAt:], part, tail} {
		if len(b) > 0 {
			v := unix.Iovec{Base: &b[0]}
			v.SetLen(len(b))
			pieces = append(pieces, v)
		}
	}
	l.msg.Iov = &pieces[0]
	l.msg.SetIovlen(len(pieces))
	n, errno := sysSendmsg(c.fd, &l.msg)
	clear(pieces)
	if errno != 0 {
		n = 0
		if errno != unix.EAGAIN {
			l.gone(c)
			return
		}
	}
	if n < c.pending()+len(part)+len(tail) {
		c.writable = false
	}
	k := min(n, c.pending())
	c.outAt += k
	n -= k
	k = min(n, len(part))
	part, n = part[k:], n-k
	tail = tail[n:]
	if c.pending() == 0 {
		c.out, c.outAt = c.out[:0], 0
	}
	if len(part)+len(tail) > 0 {
		l.room(c, len(part)+len(tail))
		c.out = append(append(c.out, part...), tail...)
	}
}

// finish ends a response whose last byte is in the out buffer.
func (l *loop) finish(c *conn) {
	if k := c.call; k != nil {
		k.conn, c.call = nil, nil
	}
	switch {
	case c.framing == http1.Length && c.rest > 0:
		c.ending = endBreak // shorter than its Content-Length
	case c.close || l.restTooLong(c):
		c.ending = endLinger
	case c.phase == phaseBody:
		c.phase = phaseDrop
	default:
		c.phase = phaseHead
	}
	c.expect = false
	l.mark(c)
}

// breakOff ends a response that has begun and cannot be completed.
func (l *loop) breakOff(c *conn) {
	c.ending = endBreak
	if c.framing == http1.UntilClose {
		c.ending = endAbort
	}
	l.mark(c)
}

// answer gives an answer of the server's own to the current request.
func (l *loop) answer(c *conn, status int, headers []asgi.Header, text string) {
	l.begin(c, status, headers, len(text), true)
	l.send(c, append(l.text[:0], text...), true)
	l.finish(c)
}

// mark puts a connection into the list of those to be flushed after the batch.
func (l *loop) mark(c *conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

// flush writes what is pending and decides how the connection goes on.
func (l *loop) flush(c *conn) {
	if c.pending() > 0 && c.writable {
		n, errno := sysSend(c.fd, c.out[c.outAt:])
		if errno != 0 {
			if n = 0; errno != unix.EAGAIN {
				l.gone(c)
				return
			}
		}
		if c.outAt += n; c.pending() > 0 {
			c.writable = false
		}
	}
	if c.call != nil {
		l.giveBack(c)
	}
	if c.pending() == 0 {
		if c.out != nil {
			l.put(c.out)
			c.out, c.outAt = nil, 0
		}
		switch c.ending {
		case endLinger:
			l.startLinger(c)
			return
		case endBreak:
			l.gone(c)
			return
		case endAbort:
			sysAbort(c.fd)
			l.gone(c)
			return
		}
		if c.call == nil && c.timer == nil && !c.blocked {
			l.idle.add(c, l.now)
		}
	}
	if c.readable || c.in != nil {
		l.run(c)
	}
}

// startLinger says that nothing more comes from us and drops what the client
// still sends, until it closes too or a second is over. Closing at once would
// reset the connection if anything unread were there, and the reset may destroy
// the answer before the client has read it.
func (l *loop) startLinger(c *conn) {
	l.dropInput(c)
	sysShutdown(c.fd, unix.SHUT_WR)
	c.phase, c.ending = phaseLinger, endNot
	l.linger.add(c, l.now)
	if c.left {
		c.readable = true
	}
	if c.readable {
		l.run(c)
	}
}

// idleTooLong ends a connection on which no request came for too long.
func (l *loop) idleTooLong(c *conn) {
	l.startLinger(c)
}

// gone acts on a client that left, or on a connection that failed.
func (l *loop) gone(c *conn) {
	if k := c.call; k != nil {
		if !k.started {
			l.logCall(c, k, clientLeft)
		}
		l.detach(k)
	}
	l.close(c)
}

// close closes a connection that has no call.
//
// A forked child of the application may hold a duplicate of the descriptor.
// Then close alone would neither take it out of the epoll set nor tell the
// client anything.
func (l *loop) close(c *conn) {
	if c.timer != nil {
		c.timer.remove(c)
	}
	l.dropInput(c)
	if c.out != nil {
		l.put(c.out)
		c.out, c.outAt = nil, 0
	}
	if c.blocked {
		for i, b := range l.blocked {
			if b == c {
				l.blocked[i] = nil
			}
		}
		c.blocked = false
	}
	sysEpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, c.fd, 0, 0)
	sysShutdown(c.fd, unix.SHUT_RDWR)
	sysClose(c.fd)
	l.conns[c.fd] = nil
	l.connections--
	c.fd = -1
	c.serial++
	l.closed = append(l.closed, c)
	if l.resumeAt != never {
		l.resumeAt = l.now // a descriptor is free again
	}
}
