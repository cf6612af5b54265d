package server

import (
	"bytes"
	"sync/atomic"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server/http1"
	"github.com/goasgi/goasgi/server/observe"
)

// What is still to be said to the application about a call, because the port
// had no room for it.
const (
	todoCredit = 1 << iota // owed is to be given back
	todoLeft               // the client closed its sending side
	todoGone               // the client is gone
	todoCancel
)

// A call is a slot of the loop's table and the call that lives in it. It is
// open from [asgi.Port.Open] until the event End, so it may outlive its response
// and even its connection.
type call struct {
	id   asgi.ID
	open bool
	conn *conn // the connection that waits for its response, or nil

	started bool // its response has begun
	stream  bool // its response is a text/event-stream

	passed int // bytes of the request body passed and not yet taken
	sent   int // bytes of the response body received and not yet written or given back
	owed   int // bytes to be given back

	todo   uint8 // what could not be said yet
	queued bool  // in loop.waiting
	told   uint8 // what has been said, of todoLeft, todoGone, todoCancel

	// The request line, for the access log.
	line    []byte
	method  int // its length in line
	version asgi.Version
}

// maxLine bounds what a call keeps of its request line for the access log.
const maxLine = 2 << 10

func (k *call) keepLine(r *http1.Request) {
	b := append(k.line[:0], r.Method...)
	k.method = len(b)
	b = appendTarget(b, r)
	k.line = b
	k.version = r.Version
}

func appendTarget(b []byte, r *http1.Request) []byte {
	b = append(b, r.RawPath[:min(len(r.RawPath), maxLine)]...)
	if len(r.Query) > 0 {
		b = append(b, '?')
		b = append(b, r.Query[:min(len(r.Query), maxLine)]...)
	}
	return b
}

// newCall returns a free slot with its next serial number, or nil if there are
// too many calls.
func (l *loop) newCall() *call {
	if l.limit > 0 {
		if l.inFlight.Add(1) > int64(l.limit) {
			l.inFlight.Add(-1)
			return nil
		}
	}
	var k *call
	if n := len(l.free); n > 0 {
		k = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		if len(l.calls) == asgi.MaxSlots {
			if l.limit > 0 {
				l.inFlight.Add(-1)
			}
			return nil
		}
		k = &call{id: asgi.ID{Slot: uint32(len(l.calls))}}
		l.calls = append(l.calls, k)
	}
	k.id.Serial++
	*k = call{id: k.id, open: true, queued: k.queued, line: k.line[:0]}
	l.open++
	return k
}

// freeCall frees the slot of a call that has ended or never began.
func (l *loop) freeCall(k *call) {
	k.open, k.todo, k.conn = false, 0, nil
	l.free = append(l.free, k)
	l.open--
	if l.limit > 0 {
		l.inFlight.Add(-1)
	}
}

// detach separates a call from its connection because the client left or must
// be taken for gone.
func (l *loop) detach(k *call) {
	k.conn.call = nil
	k.conn = nil
	l.tell(k, todoGone)
}

// tell says something to the application about a call, now or when the port has
// room again. Each thing is said once.
func (l *loop) tell(k *call, what uint8) {
	if k.told&what != 0 {
		return
	}
	k.told |= what &^ todoCredit
	k.todo |= what
	if !k.queued && !l.pass(k) {
		k.queued = true
		l.waiting = append(l.waiting, k)
	}
}

// pass says what is to be said, until the port has no more room.
func (l *loop) pass(k *call) bool {
	if k.todo&todoGone != 0 {
		k.todo &^= todoCredit | todoLeft
		if !l.port.Disconnect(k.id, true) {
			return false
		}
		k.todo &^= todoGone
	}
	if k.todo&todoLeft != 0 {
		if !l.port.Disconnect(k.id, false) {
			return false
		}
		k.todo &^= todoLeft
	}
	if k.todo&todoCredit != 0 {
		if !l.port.Credit(k.id, k.owed) {
			return false
		}
		k.owed = 0
		k.todo &^= todoCredit
	}
	if k.todo&todoCancel != 0 {
		if !l.port.Cancel(k.id) {
			return false
		}
		k.todo &^= todoCancel
	}
	return true
}

// giveBack gives the credit for what the socket has taken back. What is left in
// the out buffer holds at most that much of the call's body.
func (l *loop) giveBack(c *conn) {
	k := c.call
	taken := k.sent - min(k.sent, c.pending())
	if taken == 0 || c.pending() > 0 && taken < asgi.Window/2 {
		return
	}
	k.sent -= taken
	k.owed += taken
	l.tell(k, todoCredit)
}

// block puts a connection into the list of those that wait for the port.
func (l *loop) block(c *conn) {
	c.blocked = true
	l.blocked = append(l.blocked, c)
}

// retry does what could not be done because the port had no room.
func (l *loop) retry() {
	for i, k := range l.waiting {
		if !l.pass(k) {
			l.waiting = append(l.waiting[:0], l.waiting[i:]...)
			return
		}
		k.queued = false
	}
	l.waiting = l.waiting[:0]
	if len(l.blocked) == 0 {
		return
	}
	list := l.blocked
	l.blocked = l.spare[:0]
	for i, c := range list {
		if c == nil {
			continue
		}
		c.blocked = false
		l.run(c)
		if c.blocked {
			l.blocked = append(l.blocked, list[i+1:]...)
			break
		}
	}
	clear(list)
	l.spare = list[:0]
}

// Handle takes what an application did. It implements [asgi.Handler].
func (l *loop) Handle(e *asgi.Event) {
	if int64(e.ID.Slot) >= int64(len(l.calls)) {
		return
	}
	k := l.calls[e.ID.Slot]
	if !k.open || k.id.Serial != e.ID.Serial {
		return // of a call that has ended
	}
	c := k.conn
	switch e.Kind {
	case asgi.Start:
		if k.started {
			return
		}
		k.started = true
		k.sent += len(e.Body)
		k.stream = e.More && isEventStream(e.Headers)
		if c == nil {
			return
		}
		l.logCall(c, k, e.Status)
		l.begin(c, e.Status, e.Headers, len(e.Body), !e.More)
		l.deliver(c, e)
		if l.draining && k.stream && k.conn != nil {
			l.tell(k, todoLeft)
		}
	case asgi.Body:
		k.sent += len(e.Body)
		if c == nil || !k.started {
			return
		}
		l.deliver(c, e)
	case asgi.Taken:
		k.passed -= min(k.passed, e.Bytes)
		if c != nil && c.phase == phaseBody && (c.readable || c.in != nil) {
			l.mark(c)
		}
	case asgi.Want:
		if c != nil && c.expect && c.phase == phaseBody && !k.started && !c.readable && c.in == nil {
			c.expect = false
			l.room(c, len(http1.Continue))
			c.out = append(c.out, http1.Continue...)
			l.mark(c)
		}
	case asgi.End:
		if c != nil {
			l.abandon(c, k)
		}
		l.freeCall(k)
	}
}

// deliver passes the body part of an event to the client.
func (l *loop) deliver(c *conn, e *asgi.Event) {
	l.send(c, e.Body, !e.More)
	if c.fd < 0 {
		return
	}
	if e.More {
		l.mark(c)
	} else {
		l.finish(c)
	}
}

// abandon ends a request whose application ended without a complete response.
func (l *loop) abandon(c *conn, k *call) {
	if !k.started {
		l.logCall(c, k, 500)
		l.answer(c, 500, l.plainHeaders, "Internal Server Error")
		return
	}
	k.conn, c.call = nil, nil
	l.breakOff(c)
}

var (
	contentType = []byte("content-type")
	eventStream = []byte("text/event-stream")
)

// isEventStream tells whether a response is a stream of server-sent events.
func isEventStream(headers []asgi.Header) bool {
	for i := range headers {
		h := &headers[i]
		if len(h.Name) == len(contentType) && len(h.Value) >= len(eventStream) &&
			bytes.EqualFold(h.Name, contentType) && bytes.EqualFold(h.Value[:len(eventStream)], eventStream) {
			return true
		}
	}
	return false
}

const clientLeft = observe.ClientLeft

// logCall adds the line of a call to the access log.
func (l *loop) logCall(c *conn, k *call, status int) {
	if l.access != nil {
		l.entries.Append(c.client, k.line[:k.method], k.line[k.method:], k.version, status)
	}
}

// logLine adds the line of a request that became no call to the access log.
func (l *loop) logLine(c *conn, r *http1.Request, status int) {
	if l.access != nil {
		l.target = appendTarget(l.target[:0], r)
		l.entries.Append(c.client, r.Method, l.target, r.Version, status)
	}
}

// counters are what the loop publishes after each batch.
type counters struct {
	connections, calls atomic.Int64
	accepted, requests atomic.Uint64
}
