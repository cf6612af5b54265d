package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/bridge/asgi/asgitest"
	"github.com/goasgi/goasgi/server/observe"
)

// direct runs a server whose application costs nothing.
func direct(t testing.TB, o Options, body []byte) *Server {
	t.Helper()
	s, err := Bind(o)
	if err != nil {
		t.Fatal(err)
	}
	port := asgitest.NewDirect(200, []asgi.Header{{Name: []byte("content-type"), Value: []byte("text/plain")}}, body)
	if err := s.Start([]asgi.Port{port}); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		port.Close()
	})
	return s
}

// A pounder sends the same requests again and again, without allocating.
type pounder struct {
	net.Conn
	request  []byte
	response int // its length
	buf      []byte
}

func newPounder(t testing.TB, s *Server, request string) *pounder {
	t.Helper()
	a := s.Addrs()[0]
	conn, err := net.Dial("tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	p := &pounder{Conn: conn, request: []byte(request), buf: make([]byte, 256<<10)}
	// The first answer tells how long each is.
	if _, err := conn.Write(p.request); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := conn.Read(p.buf[p.response:])
		if err != nil {
			t.Fatal(err)
		}
		p.response += n
		head, body, found := bytes.Cut(p.buf[:p.response], []byte("\r\n\r\n"))
		var length int
		if i := bytes.Index(head, []byte("content-length: ")); found && i >= 0 {
			fmt.Sscanf(string(head[i:]), "content-length: %d", &length)
			if len(body) == length {
				return p
			}
		}
	}
}

func (p *pounder) pound(t testing.TB, times int) {
	for range times {
		if _, err := p.Write(p.request); err != nil {
			t.Error(err)
			return
		}
		if _, err := io.ReadFull(p.Conn, p.buf[:p.response]); err != nil {
			t.Error(err)
			return
		}
	}
}

// TestSteadyState shows what a request costs when a server has warmed up: no
// allocation, no goroutine, no cgo call.
func TestSteadyState(t *testing.T) {
	for _, test := range []struct {
		name    string
		request string
		body    int
		access  bool
	}{
		{"hello", get, 13, false},
		{"headers and access log", "GET /some/path%20x?query=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\nAccept: */*\r\nCookie: a=b\r\nX-Unknown: y\r\n\r\n", 13, true},
		{"body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + string(big(10000)), 10000, false},
		{"chunked body", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n", 13, false},
		{"big answer", get, 200000, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := Options{}
			if test.access {
				o.AccessLog = observe.NewAccessLog(io.Discard, false)
				defer o.AccessLog.Close()
			}
			s := direct(t, o, big(test.body))
			const connections, times = 16, 500
			goroutines := runtime.NumGoroutine()
			var list []*pounder
			for range connections {
				list = append(list, newPounder(t, s, test.request))
			}
			round := func() {
				var wg sync.WaitGroup
				for _, p := range list {
					wg.Go(func() { p.pound(t, times) })
				}
				wg.Wait()
			}
			round()
			// The pounders' own goroutines may take a moment to end.
			await(t, "no goroutine for any connection", func() bool { return runtime.NumGoroutine() <= goroutines })
			var before, after runtime.MemStats
			calls := runtime.NumCgoCall()
			runtime.ReadMemStats(&before)
			round()
			runtime.ReadMemStats(&after)
			// The round itself, its goroutines and a new Date line allocate a
			// little; one allocation in a hundred requests is more than that.
			n := after.Mallocs - before.Mallocs
			t.Logf("%d allocations, %d cgo calls in %d requests", n, runtime.NumCgoCall()-calls, connections*times)
			if n > connections*times/100 {
				t.Errorf("%.3f allocations a request", float64(n)/(connections*times))
			}
			if n := runtime.NumCgoCall() - calls; n > 0 {
				t.Errorf("%d cgo calls", n)
			}
		})
	}
}

// TestIdleHoldsNothing: an idle connection has no buffer.
func TestIdleHoldsNothing(t *testing.T) {
	s := serve(t, Options{}, echo)
	for range 20 {
		c := s.dial()
		go fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n%s", big(200000))
		c.expect(200, "/? "+string(big(200000)))
	}
	l := s.loops[0]
	await(t, "twenty idle connections", func() (idle bool) {
		l.call(func() {
			n := 0
			for c := l.idle.first; c != nil; c = c.next {
				if c.in != nil || c.out != nil || c.call != nil {
					t.Error("an idle connection holds something")
				}
				n++
			}
			idle = n == 20
		})
		return
	})
}

// BenchmarkLoop measures a request and its answer with an application that
// costs nothing, over 64 connections. The client is in the same process; for
// figures of the loop alone see its share in a profile.
func BenchmarkLoop(b *testing.B) {
	for _, size := range []int{13, 10 << 10} {
		b.Run(fmt.Sprintf("answer=%d", size), func(b *testing.B) {
			s := direct(b, Options{}, big(size))
			const connections = 64
			var list []*pounder
			for range connections {
				list = append(list, newPounder(b, s, get))
			}
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i, p := range list {
				wg.Go(func() { p.pound(b, (b.N+i)/connections) })
			}
			wg.Wait()
		})
	}
}
