package server

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server/http1"
	"github.com/goasgi/goasgi/server/observe"
)

// Options say what a Server listens on and how it treats its connections. The
// zero value works.
type Options struct {
	Host    string // IP address or name; default "127.0.0.1"
	Port    int    // default 0: the kernel chooses
	UDS     string // path of a Unix socket, instead of TCP
	FD      int    // an inherited listening socket, instead of both, if > 0
	Backlog int    // connections that wait to be accepted, at most; default 2048

	KeepAlive time.Duration // how long a connection may be idle; default 75 s; negative: one request a connection
	DrainIdle time.Duration // how long an idle one stays readable in a drain; default 1 s; negative: not at all
	Grace     time.Duration // how long calls may go on in a drain; default 25 s; negative: not at all

	LimitConcurrency int // calls at once, beyond which requests get 503; default 0: no limit
	MaxHead          int // bytes of a request head; default 64 KiB
	MaxFields        int // fields of a request head; default 100

	Headers        []asgi.Header // added to every response
	NoServerHeader bool          // no "server: goasgi"
	NoDateHeader   bool          // no Date

	AccessLog *observe.AccessLog // nil: none
	Log       *observe.Logger    // nil: discards
}

// Stats are counted over all loops, each of which publishes its part after
// every batch.
type Stats struct {
	Connections int    // open now
	Calls       int    // live now: opened, and their application has not ended
	Accepted    uint64 // connections ever
	Requests    uint64 // calls ever
}

// A Server serves HTTP on its sockets with the applications behind its ports.
// Its methods may be called by any goroutine, in the order Bind, Start, Accept,
// Shutdown, Close; steps may be left out, from the end or before Close.
type Server struct {
	options   Options
	grace     time.Duration
	drainIdle time.Duration
	addrs     []asgi.Addr
	inFlight  atomic.Int64 // calls, counted if there is a limit

	shutdown sync.Mutex // held by Shutdown

	mu        sync.Mutex
	loops     []*loop     // set once
	listeners []*listener // those that are open
	accepting bool
	closed    bool
	ended     chan struct{} // closed when Close is done
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return max(d, 0)
}

// Bind makes the server's sockets and binds them, so that whether the addresses
// can be had is known before an application is loaded. They do not listen yet.
// If an address cannot be had, the error is a *BindError.
func Bind(o Options) (*Server, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Backlog <= 0 {
		o.Backlog = 2048
	}
	for _, h := range o.Headers {
		if !validHeader(h) {
			return nil, fmt.Errorf("server: %q is not a header, expected a name and a value without control characters", string(h.Name)+": "+string(h.Value))
		}
	}
	listeners, err := bind(&o)
	if err != nil {
		return nil, err
	}
	var addrs []asgi.Addr
	for _, ln := range listeners {
		addrs = append(addrs, ln.addr)
	}
	return &Server{
		options:   o,
		addrs:     addrs,
		grace:     orDefault(o.Grace, 25*time.Second),
		drainIdle: orDefault(o.DrainIdle, time.Second),
		listeners: listeners,
		ended:     make(chan struct{}),
	}, nil
}

// Addrs returns the addresses that the server is bound to.
func (s *Server) Addrs() []asgi.Addr {
	return slices.Clone(s.addrs)
}

// URLs returns the addresses as a person may use them.
func (s *Server) URLs() []string {
	var list []string
	for _, a := range s.addrs {
		if a.Port == asgi.NoPort {
			list = append(list, "unix:"+a.Host)
		} else {
			list = append(list, "http://"+net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))))
		}
	}
	return list
}

// Start starts an I/O loop for each port, which polls its port from then on.
func (s *Server) Start(ports []asgi.Port) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("server: Start after Close")
	case s.loops != nil:
		return errors.New("server: started already")
	case len(ports) == 0:
		return errors.New("server: no port to start a loop for")
	}
	// The first timer costs the Go runtime a descriptor of its own, without
	// which it ends the process: now, while there are some.
	time.AfterFunc(time.Hour, func() {}).Stop()
	var loops []*loop
	for _, p := range ports {
		l, err := s.newLoop(p)
		if err != nil {
			for _, l := range loops {
				sysClose(l.epfd)
				sysClose(l.wake)
			}
			return err
		}
		loops = append(loops, l)
	}
	s.loops = loops
	for _, l := range loops {
		go l.serve()
	}
	return nil
}

func (s *Server) newLoop(port asgi.Port) (*loop, error) {
	o := &s.options
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("server: epoll_create: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("server: eventfd: %w", err)
	}
	l := &loop{
		port: port, epfd: epfd, wake: wake,
		epoch:    time.Now(),
		limits:   http1.Limits{Head: o.MaxHead, Fields: o.MaxFields},
		limit:    o.LimitConcurrency,
		inFlight: &s.inFlight,
		oneShot:  o.KeepAlive < 0,
		log:      o.Log, access: o.AccessLog,
		resumeAt: never, graceEnd: never,
		drained: make(chan struct{}), done: make(chan struct{}),
		buf:    make([]byte, readSize),
		text:   make([]byte, 0, 64),
		date:   make([]byte, 0, 64),
		second: -1,
	}
	if l.limits.Head <= 0 {
		l.limits.Head = 64 << 10
	}
	if l.limits.Fields <= 0 {
		l.limits.Fields = 100
	}
	l.idle.span = int64(orDefault(max(o.KeepAlive, 0), 75*time.Second))
	l.linger.span = int64(lingerTime)
	l.noDate = o.NoDateHeader
	if !o.NoServerHeader {
		l.serverLine = []byte("server: goasgi\r\n")
	}
	var extra []byte
	for _, h := range o.Headers {
		extra = append(append(append(append(extra, h.Name...), ": "...), h.Value...), "\r\n"...)
		switch {
		case bytes.EqualFold(h.Name, []byte("server")):
			l.serverLine = nil // one of these is enough
		case bytes.EqualFold(h.Name, []byte("date")):
			l.noDate = true
		}
	}
	l.resp.Extra = extra
	l.resp.Server = l.serverLine
	l.headExtra = len(extra) + len(l.serverLine)
	l.plainHeaders = []asgi.Header{{Name: []byte("content-type"), Value: []byte("text/plain; charset=utf-8")}}
	l.retryHeaders = append(l.plainHeaders[:1:1], asgi.Header{Name: []byte("retry-after"), Value: []byte("1")})
	for fd, events := range map[int]uint32{wake: unix.EPOLLIN, port.FD(): unix.EPOLLIN | unix.EPOLLET} {
		if err := sysEpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, events, uint64(fd)); err != nil {
			unix.Close(epfd)
			unix.Close(wake)
			return nil, fmt.Errorf("server: epoll_ctl: %w", err)
		}
	}
	return l, nil
}

// Accept has the kernel take connections and the loops accept them. An address
// may turn out to be in use only now; then the error is a *BindError.
func (s *Server) Accept() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("server: Accept after Close")
	case s.loops == nil:
		return errors.New("server: Accept before Start")
	case s.accepting:
		return nil
	}
	for _, ln := range s.listeners {
		if err := ln.listen(s.options.Backlog); err != nil {
			return err
		}
	}
	for _, l := range s.loops {
		l.call(func() { l.listenTo(s.listeners) })
	}
	s.accepting = true
	return nil
}

// call has f called in the loop's goroutine and waits until it was, or until
// the loop has ended.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	if l.post(func() { f(); close(done) }) {
		select {
		case <-done:
		case <-l.done:
		}
	}
}

// stopAccepting accepts what is in the backlog, and then no more.
func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.accepting {
		return
	}
	s.accepting = false
	for _, ln := range s.listeners {
		ln.unlink()
	}
	for _, l := range s.loops[1:] {
		l.call(l.stopListening)
	}
	// The first loop takes all that is left, immediately before the sockets are
	// closed: a connection that comes between the two is reset.
	l := s.loops[0]
	l.call(func() {
		list := l.listeners
		l.stopListening()
		for _, ln := range list {
			l.accept(ln, s.options.Backlog)
		}
		l.resumeAt = never
		for _, ln := range list {
			ln.close()
		}
	})
	s.listeners = nil
}

// Close closes all connections, ends the loops and removes the Unix socket. It
// may be called again and waits then until the first call is done.
func (s *Server) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.ended
		return
	}
	s.closed = true
	loops, listeners := s.loops, s.listeners
	s.listeners = nil
	s.mu.Unlock()
	for _, l := range loops {
		l.post(func() { l.stopped = true })
	}
	for _, l := range loops {
		<-l.done
	}
	for _, ln := range listeners {
		ln.close()
	}
	close(s.ended)
}

// Stats returns what the loops have counted.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	loops := s.loops
	s.mu.Unlock()
	var t Stats
	for _, l := range loops {
		t.Connections += int(l.counters.connections.Load())
		t.Calls += int(l.counters.calls.Load())
		t.Accepted += l.counters.accepted.Load()
		t.Requests += l.counters.requests.Load()
	}
	return t
}

func validHeader(h asgi.Header) bool {
	if len(h.Name) == 0 {
		return false
	}
	for _, c := range h.Name {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	for _, c := range h.Value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
