// Package asgitest has applications written in Go, so that a server is tested
// without Python.
//
// # Life of a call
//
// An [App] is an [asgi.Port] whose application is a Go function. Open starts a
// goroutine that runs the function with a [Call]; its Receive and Send methods
// wait like those of ASGI do. What it sends is queued for Poll. When the
// function returns, the event End is queued.
//
// An App also is the contract's judge: a server that breaks a rule of package
// asgi (more body than the credit allows, a word about a call that has ended, a
// slot used twice) is told through [App.Broken].
//
// # Who owns which byte until when
//
// A Call's Scope and what Receive returns are copies that belong to the
// application. What is passed to Start and Send is copied.
//
// # Goroutines
//
// The methods of asgi.Port belong to the loop's goroutine, all others may be
// called by any.
package asgitest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

var (
	// ErrGone is what sending returns after the client has left.
	ErrGone = errors.New("asgitest: the client is gone")
	// ErrCancelled is what everything returns after the call was cancelled.
	ErrCancelled = errors.New("asgitest: cancelled")
)

// An App is an application in Go, seen as a port.
type App struct {
	// Broken is called with each breach of the contract. The default panics.
	Broken func(what string)

	handler func(*Call)
	fd      int

	mu      sync.Mutex
	calls   map[uint32]*Call // by slot, until End was polled
	queue   []event
	sleeps  bool
	rand    *rand.Rand // nil: there is always room
	refuse  float64
	full    bool // refuses everything
	noRoom  bool // the loop was refused since it slept last
	refused int
	opened  int
	running sync.WaitGroup

	polled []event // of the loop's goroutine
}

type event struct {
	asgi.Event
	call *Call
}

// New returns a port whose application is handler.
func New(handler func(*Call)) *App {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		panic(fmt.Sprintf("asgitest: eventfd: %v", err))
	}
	return &App{
		handler: handler, fd: fd, calls: map[uint32]*Call{},
		Broken: func(what string) { panic("asgitest: the server broke the contract: " + what) },
	}
}

// Reluctant makes the port say that it has no room, with the given probability
// and for a short time each.
func (a *App) Reluctant(seed uint64, probability float64) {
	a.rand, a.refuse = rand.New(rand.NewPCG(seed, seed)), probability
}

// Refused returns how often there was no room.
func (a *App) Refused() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.refused
}

// Opened returns how many calls were opened.
func (a *App) Opened() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened
}

// Live returns how many calls have not ended.
func (a *App) Live() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// Close waits until no handler runs any more and closes the port's descriptor.
// The loop must have ended.
func (a *App) Close() {
	a.mu.Lock()
	for _, c := range a.calls {
		c.gone, c.cancelled = true, true
		c.changed.Broadcast()
	}
	a.mu.Unlock()
	a.running.Wait()
	unix.Close(a.fd)
}

// A Call is one request, as its application sees it.
type Call struct {
	Scope asgi.Scope

	app *App
	id  asgi.ID

	// With app.mu held.
	changed   sync.Cond
	body      [][]byte
	more      bool // more of the body will be passed
	told      bool // the end of the body was received
	passed    int  // bytes passed and not taken
	sent      int  // bytes sent and not given back
	left      bool
	gone      bool
	cancelled bool
	complete  bool
	wanted    bool
	ended     bool // the handler has returned
}

// A Message is what Receive returns.
type Message struct {
	Disconnect bool // http.disconnect; else http.request
	Body       []byte
	More       bool
}

// lock takes the lock for an operation of the loop. It returns false if the
// port has no room.
func (a *App) lock() bool {
	a.mu.Lock()
	if a.rand != nil && !a.full && a.rand.Float64() < a.refuse {
		a.full = true
		go func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.full = false
			a.wake()
		}()
	}
	if a.full {
		a.noRoom = true
		a.refused++
		a.mu.Unlock()
		return false
	}
	return true
}

// wake wakes the loop if it sleeps.
func (a *App) wake() {
	if a.sleeps {
		a.sleeps = false
		one := [8]byte{1}
		unix.Write(a.fd, one[:])
	}
}

func clone(s *asgi.Scope) asgi.Scope {
	t := *s
	t.Method = slices.Clone(s.Method)
	t.RawPath = slices.Clone(s.RawPath)
	t.Path = slices.Clone(s.Path)
	t.Query = slices.Clone(s.Query)
	t.Headers = cloneHeaders(s.Headers)
	return t
}

func cloneHeaders(list []asgi.Header) []asgi.Header {
	c := slices.Clone(list)
	for i := range c {
		c[i].Name = slices.Clone(c[i].Name)
		c[i].Value = slices.Clone(c[i].Value)
	}
	return c
}

// Open implements [asgi.Port].
func (a *App) Open(id asgi.ID, scope *asgi.Scope, body []byte, more bool) bool {
	if !a.lock() {
		return false
	}
	defer a.mu.Unlock()
	if old := a.calls[id.Slot]; old != nil {
		a.Broken(fmt.Sprintf("slot %d opened with serial %d while serial %d lives", id.Slot, id.Serial, old.id.Serial))
		old.gone, old.cancelled = true, true
		old.changed.Broadcast()
	}
	if id.Slot >= asgi.MaxSlots {
		a.Broken(fmt.Sprintf("slot %d", id.Slot))
	}
	c := &Call{Scope: clone(scope), app: a, id: id, more: more, passed: len(body)}
	c.changed.L = &a.mu
	if len(body) > asgi.Window {
		a.Broken(fmt.Sprintf("opened with %d bytes", len(body)))
	}
	if len(body) > 0 {
		c.body = append(c.body, slices.Clone(body))
	}
	a.calls[id.Slot] = c
	a.opened++
	a.running.Add(1)
	go func() {
		defer a.running.Done()
		defer func() {
			a.mu.Lock()
			defer a.mu.Unlock()
			c.ended = true
			a.push(event{asgi.Event{ID: id, Kind: asgi.End}, c})
		}()
		a.handler(c)
	}()
	return true
}

func (a *App) push(e event) {
	a.queue = append(a.queue, e)
	a.wake()
}

// call returns the call that the loop speaks of.
func (a *App) call(id asgi.ID, what string) *Call {
	c := a.calls[id.Slot]
	if c == nil || c.id != id {
		a.Broken(fmt.Sprintf("%s of call %v, which does not live", what, id))
		return new(Call)
	}
	return c
}

// Body implements [asgi.Port].
func (a *App) Body(id asgi.ID, part []byte, more bool) bool {
	if !a.lock() {
		return false
	}
	defer a.mu.Unlock()
	c := a.call(id, "body")
	c.passed += len(part)
	switch {
	case !c.more:
		a.Broken(fmt.Sprintf("body of call %v, whose body is complete", id))
	case c.passed > asgi.Window:
		a.Broken(fmt.Sprintf("body of call %v: %d bytes passed and not taken", id, c.passed))
	case len(part) == 0 && more:
		a.Broken(fmt.Sprintf("body of call %v: an empty part", id))
	}
	if len(part) > 0 {
		c.body = append(c.body, slices.Clone(part))
	}
	c.more = more
	c.changed.Broadcast()
	return true
}

// Credit implements [asgi.Port].
func (a *App) Credit(id asgi.ID, n int) bool {
	if !a.lock() {
		return false
	}
	defer a.mu.Unlock()
	c := a.call(id, "credit")
	if c.sent -= n; n <= 0 || c.sent < 0 {
		a.Broken(fmt.Sprintf("credit of call %v: %d bytes, leaves %d", id, n, c.sent))
	}
	c.changed.Broadcast()
	return true
}

// Disconnect implements [asgi.Port].
func (a *App) Disconnect(id asgi.ID, gone bool) bool {
	if !a.lock() {
		return false
	}
	defer a.mu.Unlock()
	c := a.call(id, "disconnect")
	if c.gone || !gone && c.left {
		a.Broken(fmt.Sprintf("disconnect of call %v: said again", id))
	}
	c.left = true
	c.gone = c.gone || gone
	c.changed.Broadcast()
	return true
}

// Cancel implements [asgi.Port].
func (a *App) Cancel(id asgi.ID) bool {
	if !a.lock() {
		return false
	}
	defer a.mu.Unlock()
	c := a.call(id, "cancel")
	if c.cancelled {
		a.Broken(fmt.Sprintf("cancel of call %v: said again", id))
	}
	c.cancelled = true
	c.changed.Broadcast()
	return true
}

// Poll implements [asgi.Port].
func (a *App) Poll(h asgi.Handler, limit int) int {
	a.mu.Lock()
	n := min(limit, len(a.queue))
	a.polled = append(a.polled[:0], a.queue[:n]...)
	a.queue = append(a.queue[:0], a.queue[n:]...)
	a.mu.Unlock()
	for i := range a.polled {
		e := &a.polled[i]
		if e.Kind == asgi.End {
			a.mu.Lock()
			delete(a.calls, e.ID.Slot)
			a.mu.Unlock()
		}
		h.Handle(&e.Event)
		clear(e.Body) // it was the loop's only until Handle returned
	}
	clear(a.polled)
	return n
}

// Flush implements [asgi.Port].
func (a *App) Flush() {}

// FD implements [asgi.Port].
func (a *App) FD() int { return a.fd }

// Sleep implements [asgi.Port].
func (a *App) Sleep() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.queue) > 0 || a.noRoom && !a.full {
		a.noRoom = false
		return false
	}
	a.sleeps = true
	return true
}

// Awake implements [asgi.Port].
func (a *App) Awake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sleeps = false
	a.noRoom = a.noRoom && a.full
}

// Receive waits for the next message, as ASGI's receive() does: parts of the
// request body, and when that is complete http.disconnect, once the client has
// left or the response is complete.
func (c *Call) Receive() (Message, error) {
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		switch {
		case c.cancelled:
			return Message{}, ErrCancelled
		case c.gone || c.complete:
			return Message{Disconnect: true}, nil
		case len(c.body) > 0:
			part := c.body[0]
			c.body = c.body[1:]
			c.passed -= len(part)
			a.push(event{asgi.Event{ID: c.id, Kind: asgi.Taken, Bytes: len(part)}, c})
			c.told = !c.more && len(c.body) == 0
			return Message{Body: part, More: !c.told}, nil
		case !c.more && !c.told:
			c.told = true
			return Message{}, nil
		case c.left && !c.more:
			return Message{Disconnect: true}, nil
		}
		if c.more && !c.wanted {
			c.wanted = true
			a.push(event{asgi.Event{ID: c.id, Kind: asgi.Want}, c})
		}
		c.changed.Wait()
	}
}

// ReadAll receives the whole request body.
func (c *Call) ReadAll() ([]byte, error) {
	var all []byte
	for {
		m, err := c.Receive()
		if err != nil {
			return all, err
		}
		if m.Disconnect {
			return all, ErrGone
		}
		all = append(all, m.Body...)
		if !m.More {
			return all, nil
		}
	}
}

// Start sends the head of the response and the first part of its body. headers
// are names and values in turn.
func (c *Call) Start(status int, body []byte, more bool, headers ...string) error {
	e := asgi.Event{Kind: asgi.Start, Status: status}
	for i := 0; i < len(headers); i += 2 {
		e.Headers = append(e.Headers, asgi.Header{Name: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return c.send(e, body, more)
}

// Send sends a further part of the response body.
func (c *Call) Send(body []byte, more bool) error {
	return c.send(asgi.Event{Kind: asgi.Body}, body, more)
}

// Respond sends a whole response.
func (c *Call) Respond(status int, body string, headers ...string) error {
	return c.Start(status, []byte(body), false, headers...)
}

func (c *Call) send(e asgi.Event, body []byte, more bool) error {
	a := c.app
	a.mu.Lock()
	defer a.mu.Unlock()
	e.ID = c.id
	for {
		for c.sent > 0 && c.sent+len(body) > asgi.Window && c.sent >= asgi.Window/2 && !c.gone && !c.cancelled {
			c.changed.Wait()
		}
		switch {
		case c.cancelled:
			return ErrCancelled
		case c.gone:
			return ErrGone
		}
		n := min(len(body), asgi.Window-c.sent)
		e.Body = slices.Clone(body[:n])
		body = body[n:]
		c.sent += n
		e.More = more || len(body) > 0
		c.complete = !e.More
		a.push(event{e, c})
		if len(body) == 0 {
			c.changed.Broadcast()
			return nil
		}
		e = asgi.Event{ID: c.id, Kind: asgi.Body}
	}
}

// Gone tells whether the client is known to be gone.
func (c *Call) Gone() bool {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return c.gone
}

// Left tells whether the client is known to have closed its sending side, or to
// be gone.
func (c *Call) Left() bool {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return c.left
}

// WaitGone waits until the client is gone or the call is cancelled.
func (c *Call) WaitGone() {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	for !c.gone && !c.cancelled {
		c.changed.Wait()
	}
}

// WaitCancelled waits until the call is cancelled.
func (c *Call) WaitCancelled() {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	for !c.cancelled {
		c.changed.Wait()
	}
}

// Passed returns how many bytes of the request body were passed and not taken.
func (c *Call) Passed() int {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return c.passed
}

// Sent returns how many bytes of the response body were sent and not given
// back.
func (c *Call) Sent() int {
	c.app.mu.Lock()
	defer c.app.mu.Unlock()
	return c.sent
}
