package server

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi/asgitest"
)

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// shutdown calls Shutdown and returns a channel that is closed when it is done.
func (s *served) shutdown(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		s.Shutdown(ctx)
		close(done)
	}()
	return done
}

// draining waits until all loops have begun to drain.
func (s *served) draining() {
	s.t.Helper()
	for _, l := range s.loops {
		await(s.t, "draining", func() (yes bool) {
			l.call(func() { yes = l.draining })
			return
		})
	}
}

func running(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

func TestDrainIdle(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		// Long enough for a request to come in that time on any machine.
		s := v.serve(t, Options{DrainIdle: 2 * time.Second}, hello)
		var clients []*client
		for range 5 {
			c := s.dial()
			c.send(get)
			c.expect(200, "hello")
			clients = append(clients, c)
		}
		fresh := s.dial() // never had a request
		await(t, "accepted", func() bool { return s.Stats().Connections == 6 })
		done := s.shutdown(context.Background())
		s.draining()
		for _, c := range append(clients[:2:2], fresh) {
			c.send(get)
			if r := c.expect(200, "hello"); !r.Close {
				t.Errorf("headers: %v", r.Header)
			}
			c.expectEnd()
			c.Close()
		}
		if !running(done) {
			t.Fatal("Shutdown returned with connections open")
		}
		// The server ends the others, and what crosses that is never given to
		// the application.
		opened := s.opened()
		for _, c := range clients[2:] {
			c.expectEnd()
			c.send(get)
			c.Close()
		}
		receive(t, done)
		if n := s.opened(); n != opened {
			t.Errorf("%d requests reached the application after the end", n-opened)
		}
		if st := s.Stats(); st.Connections != 0 || st.Calls != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestDrainLinger has a client that does not close its side.
func TestDrainLinger(t *testing.T) {
	s := serve(t, Options{DrainIdle: -1}, hello)
	c := s.dial()
	c.send(get)
	c.expect(200, "hello")
	done := s.shutdown(context.Background())
	c.expectEnd()
	receive(t, done)
	if st := s.Stats(); st.Connections != 0 {
		t.Errorf("%+v", st)
	}
}

// TestDrainCalls has calls of all kinds when the drain begins.
func TestDrainCalls(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		proceed := make(chan bool)
		told := make(chan string, 10)
		s := v.serve(t, Options{DrainIdle: -1}, func(c *asgitest.Call) {
			switch path := string(c.Scope.RawPath); path {
			case "/slow":
				<-proceed
				hello(c)
			case "/download":
				c.Start(200, []byte("a"), true)
				<-proceed
				if c.Left() {
					told <- path
				}
				c.Send([]byte("b"), false)
			case "/events":
				c.ReadAll()
				c.Start(200, []byte("data: 1\n\n"), true, "Content-Type", "text/event-stream; charset=utf-8")
				if m, _ := c.Receive(); m.Disconnect {
					told <- path
				}
				c.Send([]byte("data: bye\n\n"), false)
			}
		})
		slow, download, events := s.dial(), s.dial(), s.dial()
		slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
		download.send("GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
		head, err := http.ReadResponse(download.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		events.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
		await(t, "three calls", func() bool { return s.opened() == 3 })
		done := s.shutdown(context.Background())
		// The stream of events is told at once, and what it says then still
		// reaches the client.
		if path := receive(t, told); path != "/events" {
			t.Errorf("told: %s", path)
		}
		events.expect(200, "data: 1\n\ndata: bye\n\n")
		s.draining()
		if !running(done) {
			t.Fatal("Shutdown returned with calls running")
		}
		close(proceed)
		if r := slow.expect(200, "hello"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		slow.expectEnd()
		if b, err := io.ReadAll(head.Body); string(b) != "ab" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		download.expectEnd()
		for _, c := range []*client{slow, download, events} {
			c.Close()
		}
		receive(t, done)
		select {
		case path := <-told:
			t.Errorf("told: %s", path)
		default:
		}
	})
}

// TestDrainStartsStream has a stream of events that begins in the drain.
func TestDrainStartsStream(t *testing.T) {
	proceed := make(chan bool)
	s := serve(t, Options{}, func(c *asgitest.Call) {
		c.ReadAll()
		<-proceed
		c.Start(200, nil, true, "content-type", "text/event-stream")
		c.Receive()
		c.Send(nil, false)
	})
	c := s.dial()
	c.send(get)
	await(t, "the call", func() bool { return s.opened() == 1 })
	done := s.shutdown(context.Background())
	s.draining()
	close(proceed)
	c.expect(200, "")
	c.Close()
	receive(t, done)
}

func TestGrace(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		cancelled := make(chan bool, 2)
		s := v.serve(t, Options{Grace: 100 * time.Millisecond, DrainIdle: -1}, func(c *asgitest.Call) {
			if string(c.Scope.RawPath) == "/background" {
				hello(c)
			}
			c.WaitCancelled()
			cancelled <- true
		})
		c, b := s.dial(), s.dial()
		c.send(get)
		b.send("GET /background HTTP/1.1\r\nHost: a\r\n\r\n")
		b.expect(200, "hello")
		await(t, "two calls", func() bool { return s.opened() == 2 })
		done := s.shutdown(context.Background())
		receive(t, cancelled)
		receive(t, cancelled)
		if r := c.expect(500, "Internal Server Error"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		c.Close()
		b.Close()
		receive(t, done)
	})
}

// TestGraceCut cuts the grace short, with a call that does not even end when it
// is cancelled.
func TestGraceCut(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		proceed := make(chan bool)
		cancelled := make(chan bool, 1)
		s := v.serve(t, Options{Grace: time.Hour}, func(c *asgitest.Call) {
			c.WaitCancelled()
			cancelled <- true
			<-proceed
		})
		c := s.dial()
		c.send(get)
		await(t, "the call", func() bool { return s.opened() == 1 })
		ctx, cancel := context.WithCancel(context.Background())
		done := s.shutdown(ctx)
		s.draining()
		cancel()
		receive(t, cancelled)
		receive(t, done) // 2 s later
		s.Close()
		c.expectEnd()
		close(proceed)
	})
}

// TestBacklog has connections that nobody has accepted when the drain begins.
func TestBacklog(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, hello)
		var hold sync.WaitGroup
		release := make(chan bool)
		for _, l := range s.loops {
			hold.Add(1)
			l.post(func() { hold.Done(); <-release })
		}
		hold.Wait()
		var clients []*client
		for range 100 {
			c := s.dial()
			c.send(get)
			clients = append(clients, c)
		}
		done := s.shutdown(context.Background())
		await(t, "Shutdown to stop accepting", func() bool {
			if s.mu.TryLock() {
				s.mu.Unlock()
				return false
			}
			return true
		})
		close(release)
		for _, c := range clients {
			c.expect(200, "hello")
			c.Close()
		}
		receive(t, done)
	})
}

// TestCloseAtOnce closes with everything going on.
func TestCloseAtOnce(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			c.Start(200, []byte("a"), true)
			c.WaitGone()
		})
		c, idle := s.dial(), s.dial()
		c.send(get)
		r, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		done := s.shutdown(context.Background())
		s.draining()
		s.Close()
		receive(t, done)
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("a clean end")
		}
		io.ReadAll(idle.r)
	})
}
