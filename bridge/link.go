package bridge

import (
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// A Link joins one I/O loop and one worker: a ring each way and an eventfd for
// each side. It is the [asgi.Port] of that loop.
//
// The methods of asgi.Port belong to the loop's goroutine; Stop, Signal,
// Messages and Close may be called from any.
type Link struct {
	mem    memory
	in     ring // to the worker; the loop is the producer
	out    ring // from the worker; the loop is the consumer
	worker int  // eventfd that the worker waits on
	front  int  // eventfd that the loop waits on

	event asgi.Event // reused by Poll
	dirty bool       // something was committed since the last Flush
	full  bool       // the loop met a full in ring and has not been told of room
	dead  bool       // a record did not add up; nothing is read any more

	messages chan Message

	// control holds what other goroutines want to say to the worker until the
	// loop, the only producer, passes it.
	mu      sync.Mutex
	control []controlRecord
	closed  bool
	waiting atomic.Bool // control is not empty
}

type controlRecord struct {
	kind uint8
	aux  uint16
}

// maxControl bounds the control messages that wait for the loop.
const maxControl = 64

// Descriptors are what a worker needs to attach to a link.
type Descriptors struct {
	Memory int `json:"memory"` // memfd with the two rings
	Worker int `json:"worker"` // eventfd that wakes the worker
	Front  int `json:"front"`  // eventfd that wakes the front
}

// MessageKind tells what a worker reports about itself.
type MessageKind uint16

// The kinds of messages; module.c has the same numbers.
const (
	Started  MessageKind = iota + 1 // the application is loaded and its lifespan startup is done; Text: interpreter and loop
	Failed                          // it could not start; Status: exit status
	Stopped                         // it has ended after Stop or by itself; Status: exit status
	Log                             // a line for the log; Status: level as in Python's logging, 10 to 50
	Signals                         // signal handlers were taken away; Status: bit n set for signal n
	Broken                          // the link itself found garbage in a ring; Text says which
	Stopping                        // the application has asked for the end of the server; the worker serves on until Stop
)

// A Message is what a worker reports about itself, outside of any call.
type Message struct {
	Kind   MessageKind
	Status int
	Text   string
}

// NewLink makes a link that no worker is attached to yet.
func NewLink() (*Link, error) {
	mem, err := newMemory()
	if err != nil {
		return nil, err
	}
	l := &Link{mem: mem, messages: make(chan Message, 1024), worker: -1, front: -1}
	for _, fd := range []*int{&l.worker, &l.front} {
		if *fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			l.Close()
			return nil, fmt.Errorf("bridge: eventfd: %w", err)
		}
	}
	l.in = newRing(mem.header, offIn, mem.rings[0])
	l.out = newRing(mem.header, offOut, mem.rings[1])
	l.in.sleeps.Store(1) // a worker that has not attached yet sleeps
	return l, nil
}

// Attach returns the descriptors by which a worker attaches, in this process or,
// inherited, in another.
func (l *Link) Attach() Descriptors {
	return Descriptors{Memory: l.mem.fd, Worker: l.worker, Front: l.front}
}

// Messages is what the worker reports. The loop that polls the link must run.
// The reader must keep up: a log line that finds 1024 others unread is dropped.
func (l *Link) Messages() <-chan Message { return l.messages }

// Stop asks the worker to end: lifespan shutdown, then the message Stopped.
func (l *Link) Stop() { l.say(controlRecord{kind: recStop}) }

// Signal lets the Python handler that the application installed for sig run.
func (l *Link) Signal(sig int) { l.say(controlRecord{recSignal, uint16(sig)}) }

func (l *Link) say(c controlRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if len(l.control) < maxControl {
		l.control = append(l.control, c)
	}
	l.waiting.Store(true)
	wake(l.front)
}

// Close unmaps the rings. The loop must have ended, and so must a worker in
// this process. Closing again does nothing.
func (l *Link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	l.mem.close()
	for _, fd := range []int{l.worker, l.front} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func wake(eventfd int) {
	one := [8]byte{1}
	unix.Write(eventfd, one[:]) // fails only if 2^64-1 wake-ups are unread
}

// room reserves n bytes of the in ring, or notes that the loop waits for room.
func (l *Link) room(n int) []byte {
	if b := l.in.reserve(n); b != nil {
		return b
	}
	l.full = true
	l.in.waits.Store(1)
	b := l.in.reserve(n) // room may have come between the look and the note
	if b == nil && l.in.overrun() && !l.dead {
		l.fail(errRecord("cursors of the in ring that contradict each other"), nil)
	}
	return b
}

func (l *Link) commit(n int) {
	l.in.commit(n)
	l.dirty = true
}

// Open implements [asgi.Port]. The caller's limits keep the scope within
// maxRecord.
func (l *Link) Open(id asgi.ID, scope *asgi.Scope, body []byte, more bool) bool {
	n, headers := openLen(scope, body)
	b := l.room(n)
	if b == nil {
		return false
	}
	putOpen(b, id, scope, headers, body, more)
	l.commit(n)
	return true
}

// Body implements [asgi.Port].
func (l *Link) Body(id asgi.ID, part []byte, more bool) bool {
	b := l.room(headerSize + len(part))
	if b == nil {
		return false
	}
	putHeader(b, recBody, bit(more), 0, id)
	copy(b[headerSize:], part)
	l.commit(len(b))
	return true
}

// Credit implements [asgi.Port].
func (l *Link) Credit(id asgi.ID, n int) bool {
	b := l.room(headerSize + 4)
	if b == nil {
		return false
	}
	putHeader(b, recCredit, 0, 0, id)
	native.PutUint32(b[headerSize:], uint32(n))
	l.commit(len(b))
	return true
}

// Disconnect implements [asgi.Port].
func (l *Link) Disconnect(id asgi.ID, gone bool) bool {
	return l.plain(recDisconnect, uint16(bit(gone)), id)
}

// Cancel implements [asgi.Port].
func (l *Link) Cancel(id asgi.ID) bool { return l.plain(recCancel, 0, id) }

func (l *Link) plain(kind uint8, aux uint16, id asgi.ID) bool {
	b := l.room(headerSize)
	if b == nil {
		return false
	}
	putHeader(b, kind, 0, aux, id)
	l.commit(headerSize)
	return true
}

// Flush implements [asgi.Port].
func (l *Link) Flush() {
	if l.waiting.Load() {
		l.passControl()
	}
	if !l.dirty {
		return
	}
	l.dirty = false
	if l.in.sleeps.Load() != 0 && l.in.sleeps.Swap(0) != 0 {
		wake(l.worker)
	}
}

// passControl moves what other goroutines said into the in ring.
func (l *Link) passControl() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.control) > 0 {
		c := l.control[0]
		if !l.plain(c.kind, c.aux, asgi.ID{}) {
			return
		}
		l.control = l.control[1:]
	}
	l.waiting.Store(false)
}

// Poll implements [asgi.Port].
func (l *Link) Poll(h asgi.Handler, limit int) int {
	if l.waiting.Load() {
		l.Flush()
	}
	n := 0
	for n < limit && !l.dead {
		committed, ok := l.out.next()
		if !ok {
			l.fail(errRecord("cursors of the out ring that contradict each other"), nil)
			break
		}
		if len(committed) == 0 {
			break
		}
		rec, err := splitRecord(committed)
		if err != nil {
			l.fail(err, committed)
			break
		}
		if rec[4] == recControl {
			l.report(rec)
		} else if err := parseEvent(rec, &l.event, true); err != nil {
			l.fail(err, rec)
			break
		} else {
			h.Handle(&l.event)
		}
		l.out.release(len(rec))
		n++
	}
	if n > 0 && l.out.waits.Load() != 0 && l.out.waits.Swap(0) != 0 {
		wake(l.worker)
	}
	return n
}

// report passes a control record on. Only log lines may be lost, when nobody
// reads; the other kinds come once in a worker's life and find room.
func (l *Link) report(rec []byte) {
	l.post(Message{
		Kind:   MessageKind(native.Uint16(rec[6:])),
		Status: int(int32(native.Uint32(rec[8:]))),
		Text:   string(rec[headerSize:]),
	})
}

func (l *Link) post(m Message) {
	select {
	case l.messages <- m:
	default:
		if m.Kind != Log {
			go func() { l.messages <- m }()
		}
	}
}

// fail stops reading from the worker: memory was overwritten.
func (l *Link) fail(err error, rec []byte) {
	l.dead = true
	text := fmt.Sprintf("BUG: %v\n%s", err, hex.Dump(rec[:min(len(rec), 256)]))
	l.post(Message{Kind: Broken, Status: 1, Text: text})
}

// FD implements [asgi.Port].
func (l *Link) FD() int { return l.front }

// Sleep implements [asgi.Port].
func (l *Link) Sleep() bool {
	l.out.sleeps.Store(1)
	room := l.full && l.in.waits.Load() == 0
	if room || !l.dead && l.out.tail.Load() != l.out.mine || !l.full && l.waiting.Load() {
		l.full = l.full && !room
		l.out.sleeps.Store(0)
		return false
	}
	return true
}

// Awake implements [asgi.Port].
func (l *Link) Awake() {
	l.out.sleeps.Store(0)
	l.full = false
}
