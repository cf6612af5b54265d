package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/bridge/asgi/asgitest"
	"github.com/goasgi/goasgi/server/observe"
)

// patience is how long a test waits for what must come. It is long, for it
// passes in full only when a test fails.
const patience = 20 * time.Second

// A served is a server with the applications behind it.
type served struct {
	*Server
	t    *testing.T
	apps []*asgitest.App
	log  *logBuffer
}

// A logBuffer takes log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A variant is a way to run a server in which all behaviour must be the same.
type variant struct {
	name      string
	loops     int
	reluctant float64 // how often the ports have no room
}

var variants = []variant{
	{"one loop", 1, 0},
	{"three loops", 3, 0},
	{"reluctant port", 1, 0.5},
}

// each runs a test in each variant.
func each(t *testing.T, test func(t *testing.T, v variant)) {
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) { test(t, v) })
	}
}

// serve runs a server until the test ends.
func (v variant) serve(t *testing.T, o Options, handler func(*asgitest.Call)) *served {
	t.Helper()
	s := &served{t: t, log: new(logBuffer)}
	if o.Log == nil {
		o.Log = observe.NewLogger(s.log, observe.Debug, false)
	}
	var err error
	if s.Server, err = Bind(o); err != nil {
		t.Fatal(err)
	}
	var ports []asgi.Port
	for i := range max(v.loops, 1) {
		app := asgitest.New(handler)
		app.Broken = func(what string) { t.Errorf("the server broke the contract: %s", what) }
		if v.reluctant > 0 {
			app.Reluctant(uint64(i+1), v.reluctant)
		}
		s.apps = append(s.apps, app)
		ports = append(ports, app)
	}
	if err := s.Start(ports); err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *served) stop() {
	s.Close()
	for _, a := range s.apps {
		a.Close()
	}
	s.apps = nil
}

func serve(t *testing.T, o Options, handler func(*asgitest.Call)) *served {
	t.Helper()
	return variants[0].serve(t, o, handler)
}

func (s *served) opened() (n int) {
	for _, a := range s.apps {
		n += a.Opened()
	}
	return
}

// A client is one connection to a server.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (s *served) dial() *client {
	s.t.Helper()
	a := s.Addrs()[0]
	network, addr := "tcp", net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
	if a.Port == asgi.NoPort {
		network, addr = "unix", a.Host
	}
	c, err := net.Dial(network, addr)
	if err != nil {
		s.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	return &client{c, s.t, bufio.NewReader(c)}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	if _, err := io.WriteString(c.Conn, format); err != nil {
		c.t.Fatal(err)
	}
}

// A response is a response whose body was read.
type response struct {
	*http.Response
	body string
	err  error // of the body
}

// receive reads the response to a request of that method.
func (c *client) receive(method string) response {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("response: %v", err)
	}
	b, err := io.ReadAll(r.Body)
	return response{r, string(b), err}
}

// expect reads a response to GET and checks status and body.
func (c *client) expect(status int, body string) response {
	c.t.Helper()
	r := c.receive("GET")
	if r.err != nil {
		c.t.Fatalf("body: %v", r.err)
	}
	if r.StatusCode != status || r.body != body {
		c.t.Fatalf("got %d %.80q, want %d %.80q", r.StatusCode, r.body, status, body)
	}
	return r
}

// expectEnd checks that the server closes its side and sends nothing before.
func (c *client) expectEnd() {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil || len(b) > 0 {
		c.t.Fatalf("got %.80q, %v, want the end", b, err)
	}
}

// await waits for something that has no event of its own.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// receive waits for a channel.
func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain")
	}
	return
}

func hello(c *asgitest.Call) {
	c.Respond(200, "hello", "content-type", "text/plain")
}

// echo answers with the path, the query and the body.
func echo(c *asgitest.Call) {
	body, err := c.ReadAll()
	if err != nil {
		return
	}
	c.Respond(200, string(c.Scope.RawPath)+"?"+string(c.Scope.Query)+" "+string(body))
}

func TestHello(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, hello)
		for range 3 {
			c := s.dial()
			for range 3 {
				c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				r := c.expect(200, "hello")
				if r.Header.Get("Server") != "goasgi" || r.Header.Get("Connection") != "" || r.ContentLength != 5 {
					t.Errorf("headers: %v", r.Header)
				}
				// RFC 9110 6.6.1: "An origin server with a clock [...] MUST
				// generate a Date header field in all 2xx, 3xx, and 4xx responses".
				if d, err := http.ParseTime(r.Header.Get("Date")); err != nil || time.Since(d).Abs() > time.Minute {
					t.Errorf("Date: %v", r.Header.Get("Date"))
				}
			}
		}
		await(t, "nine requests counted", func() bool { return s.Stats().Requests == 9 && s.Stats().Calls == 0 })
		if st := s.Stats(); st.Accepted != 3 || st.Connections != 3 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestScope(t *testing.T) {
	got := make(chan asgi.Scope, 1)
	s := serve(t, Options{}, func(c *asgitest.Call) {
		got <- c.Scope
		hello(c)
	})
	c := s.dial()
	c.send("GET /a%%20b?x=%%20 HTTP/1.1\r\nHost: a\r\nX-Thing: One\r\nAccept:  */* \r\n\r\n%s", "")
	c.expect(200, "hello")
	scope := <-got
	local := c.LocalAddr().(*net.TCPAddr)
	if scope.Type != asgi.HTTP || scope.Version != asgi.HTTP11 || scope.Secure ||
		string(scope.Method) != "GET" || string(scope.RawPath) != "/a%20b" || string(scope.Path) != "/a b" || string(scope.Query) != "x=%20" ||
		scope.Client != (asgi.Addr{Host: "127.0.0.1", Port: int32(local.Port)}) || scope.Server != s.Addrs()[0] {
		t.Errorf("scope: %+v", scope)
	}
	var lines []string
	for _, h := range scope.Headers {
		lines = append(lines, string(h.Name)+": "+string(h.Value))
	}
	if strings.Join(lines, "|") != "host: a|x-thing: One|accept: */*" {
		t.Errorf("headers: %q", lines)
	}
}

func TestHeaders(t *testing.T) {
	s := serve(t, Options{Headers: []asgi.Header{{Name: []byte("X-Extra"), Value: []byte("1")}}, NoServerHeader: true, NoDateHeader: true}, func(c *asgitest.Call) {
		// The app's Transfer-Encoding is ignored, its Date and Server are kept.
		c.Respond(200, "x", "transfer-encoding", "gzip, chunked", "Server", "mine")
	})
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r := c.expect(200, "x")
	if r.Header.Get("X-Extra") != "1" || r.Header.Get("Date") != "" || r.Header.Get("Server") != "mine" || r.TransferEncoding != nil {
		t.Errorf("headers: %v %v", r.Header, r.TransferEncoding)
	}
	if _, err := Bind(Options{Headers: []asgi.Header{{Name: []byte("X"), Value: []byte("a\r\nb")}}}); err == nil {
		t.Error("a header with a line end was accepted")
	}
}

// big returns n bytes that repeat in no short period.
func big(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return b
}

func TestBodies(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, echo)
		c := s.dial()
		for _, size := range []int{0, 1, 10 << 10, asgi.Window - 100, asgi.Window, asgi.Window + 1, 1 << 20} {
			body := big(size)
			want := "/p?q " + string(body)
			go fmt.Fprintf(c, "POST /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, body)
			c.expect(200, want)

			go func() {
				fmt.Fprintf(c, "POST /p?q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
				w := httputil.NewChunkedWriter(c)
				for rest := body; len(rest) > 0; {
					n := min(len(rest), 1+len(rest)/3)
					w.Write(rest[:n])
					rest = rest[n:]
				}
				w.Close()
				io.WriteString(c, "X-Sum: 1\r\n\r\n")
			}()
			c.expect(200, want)
		}
		// In small pieces.
		msg := "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
		for i := range msg {
			c.send(msg[i : i+1])
		}
		c.expect(200, "/p? abcde")
	})
}

func TestStreams(t *testing.T) {
	sizes := []int{1, 0, 100, 5000, bigPart - 1, bigPart, asgi.Window, 1, 3 * asgi.Window, 20000, 1 << 20}
	each(t, func(t *testing.T, v variant) {
		all := big(2 << 20)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			rest := all
			var headers []string
			total := 0
			for _, n := range sizes {
				total += n
			}
			if string(c.Scope.Path) == "/length" || string(c.Scope.RawPath) == "/length" {
				headers = []string{"content-length", strconv.Itoa(total)}
			}
			for i, n := range sizes {
				var err error
				if i == 0 {
					err = c.Start(200, rest[:n], true, headers...)
				} else {
					err = c.Send(rest[:n], i < len(sizes)-1)
				}
				if err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
		})
		want := 0
		for _, n := range sizes {
			want += n
		}
		c := s.dial()
		for range 3 {
			for _, path := range []string{"/length", "/chunked"} {
				c.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
				r := c.expect(200, string(all[:want]))
				if chunked := r.TransferEncoding != nil; chunked != (path == "/chunked") {
					t.Errorf("%s: %v", path, r.TransferEncoding)
				}
			}
		}
		c.send("GET / HTTP/1.0\r\n\r\n")
		r := c.expect(200, string(all[:want]))
		if !r.Close || r.TransferEncoding != nil {
			t.Errorf("HTTP/1.0: %v", r.Header)
		}
		c.expectEnd()
	})
}

func TestVersionsAndClose(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, hello)
		c := s.dial()
		c.send("GET / HTTP/1.0\r\n\r\n")
		c.expect(200, "hello")
		c.expectEnd()

		c = s.dial()
		c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		if r := c.expect(200, "hello"); !strings.EqualFold(r.Header.Get("Connection"), "keep-alive") {
			t.Errorf("headers: %v", r.Header)
		}
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if r := c.expect(200, "hello"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		// RFC 9112 9.6: "A server that receives a "close" connection option MUST
		// initiate closure of the connection [...] The server MUST NOT process
		// any further requests received on that connection."
		c.expectEnd()
		if n := s.opened(); n != 3 {
			t.Errorf("%d calls", n)
		}
	})
}

func TestOneShot(t *testing.T) {
	s := serve(t, Options{KeepAlive: -1}, hello)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if r := c.expect(200, "hello"); !r.Close {
		t.Errorf("headers: %v", r.Header)
	}
	c.expectEnd()
}

func TestNoBody(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			status, _ := strconv.Atoi(string(c.Scope.RawPath[1:]))
			if len(c.Scope.Query) > 0 {
				c.Start(status, big(100000), true)
				c.Send(big(100000), true)
				c.Send(nil, false)
				return
			}
			c.Respond(status, "body that must not be sent")
		})
		c := s.dial()
		for _, query := range []string{"", "?stream"} {
			c.send("HEAD /200%s HTTP/1.1\r\nHost: a\r\n\r\nGET /204%s HTTP/1.1\r\nHost: a\r\n\r\nGET /304%s HTTP/1.1\r\nHost: a\r\n\r\n", query, query, query)
			for i, status := range []int{200, 204, 304} {
				method := "GET"
				if i == 0 {
					method = "HEAD"
				}
				if r := c.receive(method); r.StatusCode != status || r.body != "" || r.err != nil {
					t.Fatalf("%d: %d %q %v", status, r.StatusCode, r.body, r.err)
				}
			}
		}
	})
}

func TestPipelining(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, echo)
		c := s.dial()
		const count = 2000
		go func() {
			var b strings.Builder
			for i := range count {
				body := big(i % 300)
				fmt.Fprintf(&b, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
			}
			io.WriteString(c, b.String())
		}()
		for i := range count {
			c.expect(200, fmt.Sprintf("/%d? %s", i, big(i%300)))
		}
		// A bad request does not spoil the answers before it.
		c.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\nbad\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect(200, "/a? ")
		c.expect(200, "/b? ")
		if r := c.receive("GET"); r.StatusCode != 400 || !r.Close {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		c.expectEnd()
	})
}

// TestPipelineFlood sends requests and does not read the answers: the server
// must stop reading.
func TestPipelineFlood(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		answer := string(big(20000))
		s := v.serve(t, Options{}, func(c *asgitest.Call) { c.Respond(200, answer) })
		c := s.dial()
		const count = 1000 // 20 MB of answers
		var sent sync.WaitGroup
		sent.Go(func() {
			for range count {
				io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nX: "+answer[:2000]+"\r\n\r\n")
			}
		})
		// Until the sockets are full and nothing moves any more.
		for last := -1; last != s.opened(); time.Sleep(50 * time.Millisecond) {
			last = s.opened()
		}
		if s.opened() == count {
			t.Log("the sockets' buffers took everything")
		}
		for _, l := range s.loops {
			l.call(func() {
				for _, c := range l.conns {
					if c != nil && (c.pending() > 2*asgi.Window || cap(c.in) > 80<<10) {
						t.Errorf("%d bytes wait to be written, %d were read ahead", c.pending(), cap(c.in))
					}
				}
			})
		}
		for range count {
			c.expect(200, answer)
		}
		sent.Wait()
	})
}

func TestRefused(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{MaxHead: 8 << 10, MaxFields: 10}, hello)
		for _, test := range []struct {
			request string
			status  int
		}{
			{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
			{"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
			{"GET / HTTP/1.1\nHost: a\n\n", 400},
			{"GET / HTTP/1.1\r\nHost: a\r\nA b: c\r\n\r\n", 400},
			{"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 8<<10) + "\r\n\r\n", 431},
			{"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 11) + "\r\n", 431},
			{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		} {
			c := s.dial()
			c.send(test.request)
			if r := c.receive("GET"); r.StatusCode != test.status || !r.Close {
				t.Errorf("%.60q: %d %v", test.request, r.StatusCode, r.Header)
			}
			c.expectEnd()
		}
		if n := s.opened(); n != 0 {
			t.Errorf("%d calls", n)
		}
		// A head that ends beyond the limit in the second read.
		c := s.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
		for range 9 {
			c.send(strings.Repeat("x", 1<<10))
		}
		if r := c.receive("GET"); r.StatusCode != 431 {
			t.Errorf("%d", r.StatusCode)
		}
	})
}

// TestBadBody has a body that turns bad when the call is under way.
func TestBadBody(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		ends := make(chan error, 1)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			if string(c.Scope.RawPath) == "/started" {
				c.Start(200, []byte("part"), true)
			}
			_, err := c.ReadAll()
			ends <- err
			c.WaitGone()
		})
		c := s.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		await(t, "the call", func() bool { return s.opened() == 1 })
		c.send("zz\r\n")
		if r := c.receive("POST"); r.StatusCode != 400 || !r.Close {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		c.expectEnd()
		if err := receive(t, ends); err != asgitest.ErrGone {
			t.Error(err)
		}

		c = s.dial()
		c.send("POST /started HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
		r, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.send("zz\r\n")
		if b, err := io.ReadAll(r.Body); err != io.ErrUnexpectedEOF || string(b) != "part" {
			t.Errorf("%q %v", b, err)
		}
		receive(t, ends)
	})
}

func TestExpectContinue(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			if string(c.Scope.RawPath) == "/refuse" {
				c.Respond(413, "no")
				return
			}
			echo(c)
		})
		const head = "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
		c := s.dial()
		for range 2 {
			c.send(head, "/")
			line, err := c.r.ReadString('\n')
			rest, _ := c.r.ReadString('\n')
			if line != "HTTP/1.1 100 Continue\r\n" || rest != "\r\n" {
				t.Fatalf("%q %v", line, err)
			}
			c.send("abc")
			c.expect(200, "/? abc")
		}
		// RFC 9110 10.1.1: "A server MAY omit sending a 100 (Continue) response
		// if it has already received some or all of the content".
		c.send(head+"abc", "/")
		c.expect(200, "/? abc")
		// RFC 9110 10.1.1: "A server that responds with a final status code
		// instead of reading the entire request content SHOULD indicate whether
		// it intends to close the connection".
		c.send(head, "/refuse")
		if r := c.expect(413, "no"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		c.expectEnd()
	})
}

// TestUnreadBody answers before the body was read.
func TestUnreadBody(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) { c.Respond(200, "early") })
		c := s.dial()
		// A short rest is dropped, and the connection lives on.
		for range 3 {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
			if r := c.expect(200, "early"); r.Close {
				t.Errorf("headers: %v", r.Header)
			}
			c.send(string(big(50000)))
		}
		// A long one ends it; the client can read the answer although it goes on
		// sending.
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
		if r := c.expect(200, "early"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		c.send(string(big(500000)))
		c.expectEnd()

		c = s.dial()
		c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
		if r := c.expect(200, "early"); !r.Close {
			t.Errorf("headers: %v", r.Header)
		}
		c.expectEnd()
	})
}

// TestUploadBackpressure has an application that does not read an upload.
func TestUploadBackpressure(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		calls := make(chan *asgitest.Call, 1)
		proceed := make(chan bool)
		body := big(30 << 20)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			calls <- c
			<-proceed
			got, err := c.ReadAll()
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			hello(c)
		})
		c := s.dial()
		sent := make(chan bool)
		var count writeCounter
		count.Conn = c.Conn
		go func() {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", len(body))
			for rest := body; len(rest) > 0; {
				n := min(len(rest), 1<<16)
				count.Write(rest[:n])
				rest = rest[n:]
			}
			close(sent)
		}()
		call := receive(t, calls)
		// Until the sockets are full and nothing moves any more.
		for last := int64(-1); last != count.n.Load(); time.Sleep(50 * time.Millisecond) {
			last = count.n.Load()
		}
		select {
		case <-sent:
			t.Error("the server took an upload that nobody read")
		default:
		}
		if n := call.Passed(); n > asgi.Window {
			t.Errorf("%d bytes passed", n)
		}
		for _, l := range s.loops {
			l.call(func() {
				for _, c := range l.conns {
					if c != nil && cap(c.in) > 80<<10 {
						t.Errorf("%d bytes were read ahead", cap(c.in))
					}
				}
			})
		}
		close(proceed)
		c.expect(200, "hello")
	})
}

// TestSlowReader has a client that does not read a download.
func TestSlowReader(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		calls := make(chan *asgitest.Call, 1)
		body := big(30 << 20)
		finished := make(chan bool)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			calls <- c
			c.Start(200, body, false)
			close(finished)
		})
		c := s.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		call := receive(t, calls)
		// Until the sockets are full and nothing moves any more.
		await(t, "the window is full", func() bool { return call.Sent() > asgi.Window/2 })
		time.Sleep(50 * time.Millisecond)
		select {
		case <-finished:
			t.Error("the application could send all of a body that nobody read")
		default:
		}
		for _, l := range s.loops {
			l.call(func() {
				for _, c := range l.conns {
					if c != nil && c.pending() > asgi.Window+1000 {
						t.Errorf("%d bytes wait to be written", c.pending())
					}
				}
			})
		}
		c.expect(200, string(body))
		receive(t, finished)
	})
}

func TestAbandoned(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			switch string(c.Scope.RawPath) {
			case "/started":
				c.Start(200, []byte("part"), true)
			case "/length":
				c.Start(200, []byte("part"), true, "content-length", "10")
			case "/short":
				c.Respond(200, "part", "content-length", "10")
			case "/long":
				c.Respond(200, "0123456789abcdef", "content-length", "10")
			}
		})
		c := s.dial()
		for range 3 {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			if r := c.expect(500, "Internal Server Error"); r.Close || !strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
				t.Errorf("headers: %v", r.Header)
			}
		}
		c.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect(200, "0123456789")
		for _, path := range []string{"/started", "/length", "/short"} {
			c := s.dial()
			c.send("GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path)
			if r := c.receive("GET"); r.StatusCode != 200 || r.body != "part" || r.err != io.ErrUnexpectedEOF {
				t.Errorf("%s: %q %v", path, r.body, r.err)
			}
		}
		// Where the end of the connection ends the body, only a reset shows that
		// something is missing.
		c = s.dial()
		c.send("GET /started HTTP/1.0\r\n\r\n")
		if b, err := io.ReadAll(c.r); err == nil {
			t.Errorf("%q and a clean end", b)
		}
	})
}

func TestBackground(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		proceed := make(chan bool)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			hello(c)
			<-proceed
		})
		defer close(proceed)
		c := s.dial()
		for range 5 {
			c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			c.expect(200, "hello")
		}
		await(t, "five calls counted", func() bool { return s.Stats().Calls == 5 })
	})
}

func TestClientLeaves(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		type end struct {
			m   asgitest.Message
			err error
		}
		ends := make(chan end, 1)
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			if _, err := c.ReadAll(); err != nil {
				ends <- end{asgitest.Message{Disconnect: true}, err}
				return
			}
			m, err := c.Receive()
			if err == nil && string(c.Scope.RawPath) == "/send" {
				for err == nil { // until the client's kernel has said that nobody is there
					err = c.Start(200, big(100), true)
					c.Scope.RawPath = nil
					for err == nil {
						err = c.Send(big(100000), true)
					}
				}
			}
			ends <- end{m, err}
			c.Respond(200, "too late")
		})
		const request = "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
		// An ordinary close, when everything was sent.
		c := s.dial()
		c.send(request+"abc", "/")
		await(t, "the call", func() bool { return s.opened() == 1 })
		c.Close()
		if e := receive(t, ends); !e.m.Disconnect || e.err != nil {
			t.Errorf("%+v", e)
		}
		// The same, and sending fails soon.
		c = s.dial()
		c.send(request+"abc", "/send")
		c.Close()
		if e := receive(t, ends); !e.m.Disconnect || e.err != asgitest.ErrGone {
			t.Errorf("%+v", e)
		}
		// A reset.
		c = s.dial()
		c.send(request+"abc", "/")
		await(t, "the call", func() bool { return s.opened() == 3 })
		c.Conn.(*net.TCPConn).SetLinger(0)
		c.Close()
		if e := receive(t, ends); !e.m.Disconnect { // with an error if it came before the body was taken
			t.Errorf("%+v", e)
		}
		// In the middle of the body.
		c = s.dial()
		c.send(request+"ab", "/")
		await(t, "the call", func() bool { return s.opened() == 4 })
		c.Close()
		if e := receive(t, ends); e.err != asgitest.ErrGone {
			t.Errorf("%+v", e)
		}
		await(t, "nothing is left", func() bool { return s.Stats().Connections == 0 && s.Stats().Calls == 0 })
	})
}

// TestHalfClosed: RFC 9112 9.6 knows no half-closed clients, but they exist
// (printf | nc), and what they asked for is answered.
func TestHalfClosed(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			body, err := c.ReadAll()
			if err != nil {
				return
			}
			if m, err := c.Receive(); !m.Disconnect || err != nil {
				t.Errorf("%v %v", m, err)
			}
			if c.Gone() {
				t.Error("gone")
			}
			if err := c.Start(200, append(body, big(1<<20)...), true); err != nil {
				t.Error(err)
			}
			if err := c.Send([]byte("!"), false); err != nil {
				t.Error(err)
			}
		})
		c := s.dial()
		want := string(big(1<<20)) + "!"
		c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.Conn.(*net.TCPConn).CloseWrite()
		c.expect(200, "abc"+want)
		c.expect(200, want)
		c.expectEnd()

		c = s.dial() // in the middle of a head
		c.send("GET / HTTP/1.1\r\nHos")
		c.Conn.(*net.TCPConn).CloseWrite()
		c.expectEnd()
	})
}

func TestLimitConcurrency(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		proceed := make(chan bool)
		s := v.serve(t, Options{LimitConcurrency: 2}, func(c *asgitest.Call) {
			<-proceed
			hello(c)
		})
		a, b, c := s.dial(), s.dial(), s.dial()
		a.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		b.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		await(t, "two calls", func() bool { return s.opened() == 2 })
		for range 3 { // the connection lives on
			c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			if r := c.expect(503, "Service Unavailable"); r.Header.Get("Retry-After") != "1" || r.Close {
				t.Errorf("headers: %v", r.Header)
			}
		}
		close(proceed)
		a.expect(200, "hello")
		b.expect(200, "hello")
		await(t, "no call", func() bool { return s.Stats().Calls == 0 })
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect(200, "hello")
	})
}

func TestKeepAlive(t *testing.T) {
	s := serve(t, Options{KeepAlive: 100 * time.Millisecond}, hello)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect(200, "hello")
	c.expectEnd()
	c = s.dial() // no request at all
	c.expectEnd()
	c = s.dial() // half a head
	c.send("GET / HTTP/1.1\r\n")
	c.expectEnd()
	await(t, "all closed", func() bool { return s.Stats().Connections == 0 })
}

// TestDuplicate: a forked child of the application holds a duplicate of the
// descriptor. The client must see the end all the same, and the loop no events.
func TestDuplicate(t *testing.T) {
	s := serve(t, Options{}, hello)
	c := s.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.expect(200, "hello")
	dup := -1
	l := s.loops[0]
	l.call(func() {
		for _, c := range l.conns {
			if c != nil {
				dup = dupFD(t, c.fd)
			}
		}
	})
	defer sysClose(dup)
	c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	c.expect(200, "hello")
	c.expectEnd()
	c.Close()
	await(t, "closed", func() bool { return s.Stats().Connections == 0 })
}

// TestStorm has many clients do all sorts of things at once.
func TestStorm(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		s := v.serve(t, Options{}, func(c *asgitest.Call) {
			switch c.Scope.RawPath[1] {
			case 'e':
				echo(c)
			case 's': // stream
				n, _ := strconv.Atoi(string(c.Scope.Query))
				b := big(n)
				if c.Start(200, nil, true) != nil {
					return
				}
				for len(b) > 0 {
					k := min(len(b), 1+len(b)/2)
					if c.Send(b[:k], true) != nil {
						return
					}
					b = b[k:]
				}
				c.Send(nil, false)
			case 'd': // wait for the client to leave
				c.ReadAll()
				c.Receive()
			case 'x': // neither read nor answer
			}
		})
		var wg sync.WaitGroup
		for worker := range 20 {
			wg.Go(func() {
				c := s.dial()
				for i := range 30 {
					n := (worker*7919 + i*104729) % 200000
					body := big(n)
					switch (worker + i) % 4 {
					case 0:
						go fmt.Fprintf(c, "POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n, body)
						c.expect(200, "/e? "+string(body))
					case 1:
						c.send("GET /s?%d HTTP/1.1\r\nHost: a\r\n\r\n", n)
						c.expect(200, string(body))
					case 2:
						d := s.dial()
						d.send("GET /d HTTP/1.1\r\nHost: a\r\n\r\n")
						d.Close()
					case 3:
						c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
						c.expect(500, "Internal Server Error")
					}
				}
				c.Close()
			})
		}
		wg.Wait()
		await(t, "nothing is left", func() bool { return s.Stats().Connections == 0 && s.Stats().Calls == 0 })
		for _, l := range s.loops {
			l.call(func() {
				if l.idle.first != nil || l.linger.first != nil || len(l.waiting) > 0 || len(l.free) != len(l.calls) {
					t.Error("the loop holds on to something")
				}
			})
		}
		for _, a := range s.apps {
			if v.reluctant > 0 && a.Refused() == 0 {
				t.Error("the port was never reluctant")
			}
		}
	})
}

func TestOrder(t *testing.T) {
	s, err := Bind(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Accept(); err == nil {
		t.Error("Accept before Start")
	}
	if err := s.Start(nil); err == nil {
		t.Error("Start without a port")
	}
	s.Shutdown(context.Background())
	s.Close()
	s.Close()
	if err := s.Start([]asgi.Port{asgitest.New(hello)}); err == nil {
		t.Error("Start after Close")
	}
}

// A latePort delivers events of calls that do not live.
type latePort struct {
	*asgitest.App
	last asgi.ID
}

func (p *latePort) Open(id asgi.ID, scope *asgi.Scope, body []byte, more bool) bool {
	p.last = id
	return p.App.Open(id, scope, body, more)
}

func (p *latePort) Poll(h asgi.Handler, limit int) int {
	for _, id := range []asgi.ID{
		{Slot: asgi.MaxSlots - 1, Serial: 1},
		{Slot: p.last.Slot, Serial: p.last.Serial - 1},
		{Slot: p.last.Slot, Serial: p.last.Serial + 1},
	} {
		for kind := asgi.Start; kind <= asgi.End; kind++ {
			h.Handle(&asgi.Event{ID: id, Kind: kind, Status: 299, Body: []byte("late"), Bytes: 1})
		}
	}
	return p.App.Poll(h, limit)
}

func TestLateEvents(t *testing.T) {
	s := &served{t: t}
	var err error
	if s.Server, err = Bind(Options{}); err != nil {
		t.Fatal(err)
	}
	app := asgitest.New(hello)
	s.Start([]asgi.Port{&latePort{App: app}})
	s.Accept()
	defer app.Close()
	defer s.Close()
	c := s.dial()
	for range 10 {
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		c.expect(200, "hello")
	}
}
