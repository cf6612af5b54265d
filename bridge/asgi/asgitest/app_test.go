package asgitest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// events polls a port until the call has ended, as a loop would.
type events []asgi.Event

func (e *events) Handle(ev *asgi.Event) {
	c := *ev
	c.Body = append([]byte(nil), ev.Body...)
	*e = append(*e, c)
}

func pollUntilEnd(t *testing.T, p asgi.Port) (list events) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		p.Poll(&list, 10)
		if n := len(list); n > 0 && list[n-1].Kind == asgi.End {
			return
		}
		if p.Sleep() {
			unix.Poll([]unix.PollFd{{Fd: int32(p.FD()), Events: unix.POLLIN}}, 1000)
			p.Awake()
		}
	}
	t.Fatalf("no end: %v", list)
	return
}

var scope = asgi.Scope{Method: []byte("GET"), RawPath: []byte("/")}

func TestCall(t *testing.T) {
	a := New(func(c *Call) {
		body, err := c.ReadAll()
		if err != nil {
			t.Error(err)
		}
		c.Start(200, body, true, "a", "b")
		c.Send([]byte("!"), false)
		if m, err := c.Receive(); !m.Disconnect || err != nil {
			t.Errorf("after the response: %v %v", m, err)
		}
	})
	defer a.Close()
	id := asgi.ID{Slot: 3, Serial: 7}
	a.Open(id, &scope, []byte("ab"), true)
	a.Body(id, []byte("c"), false)
	var kinds []asgi.Kind
	var body string
	for _, e := range pollUntilEnd(t, a) {
		if e.ID != id {
			t.Errorf("%v", e.ID)
		}
		if e.Kind != asgi.Taken && e.Kind != asgi.Want {
			kinds = append(kinds, e.Kind)
		}
		body += string(e.Body)
	}
	if len(kinds) != 3 || kinds[0] != asgi.Start || kinds[1] != asgi.Body || body != "abc!" {
		t.Errorf("%v %q", kinds, body)
	}
}

// TestBroken breaks the contract in every way that an App knows.
func TestBroken(t *testing.T) {
	id, other := asgi.ID{Slot: 1, Serial: 1}, asgi.ID{Slot: 1, Serial: 2}
	for want, breach := range map[string]func(*App){
		"while serial 1 lives":  func(a *App) { a.Open(other, &scope, nil, false) },
		"body is complete":      func(a *App) { a.Body(id, nil, false); a.Body(id, nil, false) },
		"passed and not taken":  func(a *App) { a.Body(id, make([]byte, asgi.Window+1), true) },
		"an empty part":         func(a *App) { a.Body(id, nil, true) },
		"leaves -1":             func(a *App) { a.Credit(id, 1) },
		"does not live":         func(a *App) { a.Cancel(other) },
		"disconnect of call {1": func(a *App) { a.Disconnect(id, true); a.Disconnect(id, false) },
		"cancel of call {1":     func(a *App) { a.Cancel(id); a.Cancel(id) },
	} {
		a := New(func(c *Call) { c.WaitGone() })
		var got string
		a.Broken = func(what string) { got += what }
		a.Open(id, &scope, nil, true)
		breach(a)
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		a.Close()
	}
}

// TestReluctant: after a refusal the loop is not left asleep.
func TestReluctant(t *testing.T) {
	a := New(func(*Call) {})
	defer a.Close()
	a.Reluctant(1, 0.9)
	for i := range 100 {
		id := asgi.ID{Slot: 0, Serial: uint32(i + 1)}
		for !a.Open(id, &scope, nil, false) {
			if a.Sleep() {
				unix.Poll([]unix.PollFd{{Fd: int32(a.FD()), Events: unix.POLLIN}}, -1)
				a.Awake()
			}
		}
		pollUntilEnd(t, a)
	}
	if a.Refused() == 0 {
		t.Error("never refused")
	}
}
