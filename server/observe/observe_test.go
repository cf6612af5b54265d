package observe

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi"
)

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	l := NewLogger(&b, Info, false)
	l.Debugf("not shown")
	l.Infof("text %d", 1)
	l.Warningf("w")
	l.Errorf("two\nlines\n")
	l.Criticalf("c")
	NewLogger(&b, Trace, false).Tracef("t")
	// The columns are uvicorn's.
	want := "INFO:     text 1\nWARNING:  w\nERROR:    two\nlines\nCRITICAL: c\nTRACE:    t\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	b.Reset()
	NewLogger(&b, Info, true).Infof("x")
	if want := "\x1b[32mINFO\x1b[0m:     x\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
	var none *Logger
	none.Errorf("to nobody")
}

func TestParseLevel(t *testing.T) {
	for _, l := range levels {
		for _, name := range []string{l.name, strings.ToUpper(l.name)} {
			if got, err := ParseLevel(name); got != l.level || err != nil || got.String() != l.name {
				t.Errorf("%s: %v %v", name, got, err)
			}
		}
	}
	if _, err := ParseLevel("loud"); err == nil || !strings.Contains(err.Error(), "critical, error, warning, info, debug, trace") {
		t.Errorf("%v", err)
	}
}

// A gate is a writer that waits until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	b    bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.b.Write(p)
}

func TestAccessLog(t *testing.T) {
	var out bytes.Buffer
	a := NewAccessLog(&out, false)
	var b AccessBuffer
	v4 := asgi.Addr{Host: "127.0.0.1", Port: 5000}
	b.Append(v4, []byte("GET"), []byte("/path?q"), asgi.HTTP11, 200)
	b.Append(asgi.Addr{Host: "::1", Port: 1}, []byte("POST"), []byte("/"), asgi.HTTP10, 404)
	a.Take(&b)
	b.Append(asgi.Addr{Port: asgi.NoPort}, []byte("PUT"), []byte("/\x1b[31m\"\n\xff"), asgi.HTTP2, 299)
	b.Append(v4, []byte("GET"), []byte("/"), asgi.HTTP11, ClientLeft)
	a.Take(&b)
	a.Take(&b)
	a.Close()
	want := `INFO:     127.0.0.1:5000 - "GET /path?q HTTP/1.1" 200 OK
INFO:     [::1]:1 - "POST / HTTP/1.0" 404 Not Found
INFO:     unix - "PUT /\x1b[31m\x22\x0a\xff HTTP/2" 299
INFO:     127.0.0.1:5000 - "GET / HTTP/1.1" 499 Client Closed Request
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}

	out.Reset()
	a = NewAccessLog(&out, true)
	b.Append(v4, []byte("GET"), []byte("/"), asgi.HTTP11, 500)
	a.Take(&b)
	a.Close()
	if want := "\x1b[32mINFO\x1b[0m:     127.0.0.1:5000 - \"\x1b[1mGET / HTTP/1.1\x1b[0m\" \x1b[91m500 Internal Server Error\x1b[0m\n"; out.String() != want {
		t.Errorf("%q", out.String())
	}
}

// TestAccessLogBound has a writer that takes nothing.
func TestAccessLogBound(t *testing.T) {
	g := &gate{open: make(chan struct{})}
	a := NewAccessLog(g, false)
	var b AccessBuffer
	const count = 30000 // of about 100 bytes
	target := []byte("/" + strings.Repeat("x", 80))
	for i := range count {
		b.Append(asgi.Addr{Host: "127.0.0.1", Port: 5000}, []byte("GET"), target, asgi.HTTP11, 200)
		if i%100 == 99 {
			a.Take(&b)
		}
	}
	a.mu.Lock()
	waiting, dropped := len(a.waiting), a.dropped
	a.mu.Unlock()
	if waiting > accessLimit {
		t.Errorf("%d bytes wait", waiting)
	}
	if dropped == 0 {
		t.Error("nothing was dropped")
	}
	close(g.open)
	a.Close()
	lines := strings.Count(g.b.String(), "GET /xxx")
	if lines+dropped != count {
		t.Errorf("%d lines and %d dropped of %d", lines, dropped, count)
	}
	if !strings.Contains(g.b.String(), "lines dropped: ") {
		t.Error("the log does not say so")
	}
}

func TestAccessAllocs(t *testing.T) {
	a := NewAccessLog(&bytes.Buffer{}, false)
	defer a.Close()
	var b AccessBuffer
	method, target := []byte("GET"), []byte("/path")
	for range 1000 { // warm up
		b.Append(asgi.Addr{Host: "127.0.0.1", Port: 5000}, method, target, asgi.HTTP11, 200)
	}
	b = AccessBuffer{b: b.b[:0]}
	if n := testing.AllocsPerRun(900, func() {
		b.Append(asgi.Addr{Host: "127.0.0.1", Port: 5000}, method, target, asgi.HTTP11, 200)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
