package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/bridge/asgi/asgitest"
	"github.com/goasgi/goasgi/server/observe"
)

// scopes is an application that reports scopes.
func scopes(to chan<- asgi.Scope) func(*asgitest.Call) {
	return func(c *asgitest.Call) {
		to <- c.Scope
		hello(c)
	}
}

func TestIPv6(t *testing.T) {
	if l, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	} else {
		l.Close()
	}
	got := make(chan asgi.Scope, 1)
	s := serve(t, Options{Host: "::1"}, scopes(got))
	c := s.dial()
	c.send(get)
	c.expect(200, "hello")
	if scope := <-got; scope.Client.Host != "::1" || scope.Server != s.Addrs()[0] {
		t.Errorf("%+v", scope)
	}
	if want := fmt.Sprintf("http://[::1]:%d", s.Addrs()[0].Port); s.URLs()[0] != want {
		t.Errorf("%q", s.URLs())
	}
}

func TestWildcard(t *testing.T) {
	got := make(chan asgi.Scope, 1)
	for _, host := range []string{"0.0.0.0", "::"} {
		if host == "::" {
			if l, err := net.Listen("tcp", "[::]:0"); err != nil {
				t.Logf("this machine has no IPv6: %v", err)
				continue
			} else {
				l.Close()
			}
		}
		s := serve(t, Options{Host: host}, scopes(got))
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Addrs()[0].Port))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, get)
		scope := receive(t, got)
		if scope.Client.Host != "127.0.0.1" || scope.Server.Host != "127.0.0.1" || scope.Server.Port != s.Addrs()[0].Port {
			t.Errorf("%s: %+v", host, scope)
		}
		conn.Close()
	}
}

func TestName(t *testing.T) {
	s := serve(t, Options{Host: "localhost"}, hello)
	for _, a := range s.Addrs() {
		if a.Port != s.Addrs()[0].Port {
			t.Errorf("%v", s.Addrs())
		}
	}
	c := s.dial()
	c.send(get)
	c.expect(200, "hello")
	var e *BindError
	if _, err := Bind(Options{Host: "no-such-host.invalid"}); !errors.As(err, &e) || !strings.Contains(err.Error(), "no-such-host.invalid") {
		t.Errorf("%v", err)
	}
	if _, err := Bind(Options{Port: 65536}); !errors.As(err, &e) {
		t.Errorf("%v", err)
	}
}

// TestSockets looks at the options of the sockets.
func TestSockets(t *testing.T) {
	s := serve(t, Options{}, hello)
	c := s.dial()
	c.send(get)
	c.expect(200, "hello")
	l := s.loops[0]
	l.call(func() {
		for _, c := range l.conns {
			if c == nil {
				continue
			}
			if v, err := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); v == 0 || err != nil {
				t.Errorf("TCP_NODELAY: %d %v", v, err)
			}
			if v, err := unix.GetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); v != 60 || err != nil {
				t.Errorf("TCP_KEEPIDLE: %d %v", v, err)
			}
			if v, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); v&unix.FD_CLOEXEC == 0 || err != nil {
				t.Errorf("CLOEXEC: %d %v", v, err)
			}
		}
	})
}

func TestAddressInUse(t *testing.T) {
	s := serve(t, Options{}, hello)
	var e *BindError
	_, err := Bind(Options{Port: int(s.Addrs()[0].Port)})
	if !errors.As(err, &e) || !errors.Is(err, unix.EADDRINUSE) || e.Addr != addrString(s.Addrs()[0]) {
		t.Errorf("%v", err)
	}
	// Two that are bound and do not listen yet: the second one's Accept fails.
	a, err := Bind(Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Bind(Options{Port: int(a.Addrs()[0].Port)})
	if err != nil {
		t.Fatal(err)
	}
	app := asgitest.New(hello)
	other := asgitest.New(hello)
	a.Start([]asgi.Port{app})
	b.Start([]asgi.Port{other})
	if err := a.Accept(); err != nil {
		t.Error(err)
	}
	if err := b.Accept(); !errors.As(err, &e) || !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v", err)
	}
	a.Close()
	b.Close()
	app.Close()
	other.Close()
	// The address is free again at once, although connections linger.
	c, err := Bind(Options{Port: int(a.Addrs()[0].Port)})
	if err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

func TestUnixSocket(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		path := filepath.Join(t.TempDir(), "s")
		got := make(chan asgi.Scope, 1)
		s := v.serve(t, Options{UDS: path}, scopes(got))
		c := s.dial()
		for range 3 {
			c.send(get)
			c.expect(200, "hello")
			if scope := <-got; scope.Client != (asgi.Addr{Port: asgi.NoPort}) || scope.Server != (asgi.Addr{Host: path, Port: asgi.NoPort}) {
				t.Errorf("%+v", scope)
			}
		}
		if s.URLs()[0] != "unix:"+path {
			t.Errorf("%q", s.URLs())
		}
		var e *BindError
		if _, err := Bind(Options{UDS: path}); !errors.As(err, &e) || e.Addr != "unix:"+path {
			t.Errorf("a live server: %v", err)
		}
		s.Close()
		if _, err := os.Lstat(path); err == nil {
			t.Error("the socket was not removed")
		}
	})
}

func TestUnixSocketPaths(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	os.Chmod(path, 0o600)
	s, err := Bind(Options{UDS: path})
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	if info, _ := os.Lstat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	// Somebody else's by now: not ours to remove.
	os.Remove(path)
	os.WriteFile(path, nil, 0o600)
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	for _, p := range []string{path, dir, filepath.Join(dir, "no", "such"), filepath.Join(dir, strings.Repeat("x", 200))} {
		var e *BindError
		if _, err := Bind(Options{UDS: p}); !errors.As(err, &e) {
			t.Errorf("%s: %v", p, err)
		} else {
			t.Log(err)
		}
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error("a file was removed")
	}
}

// TestUnixClientLeaves: with Unix sockets a close looks different from TCP's.
func TestUnixClientLeaves(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		left := make(chan bool, 1)
		path := filepath.Join(t.TempDir(), "s")
		s := v.serve(t, Options{UDS: path}, func(c *asgitest.Call) {
			c.ReadAll()
			m, _ := c.Receive()
			left <- m.Disconnect
			c.Start(200, big(1<<20), true)
			c.WaitGone()
		})
		c := s.dial()
		c.send(get)
		c.Close()
		receive(t, left)
		await(t, "nothing is left", func() bool { return s.Stats().Connections == 0 && s.Stats().Calls == 0 })
	})
}

func TestInherited(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	fd := dupFD(t, int(f.Fd())) // the server closes it
	f.Close()
	s := serve(t, Options{FD: fd}, hello)
	if want := l.Addr().String(); addrString(s.Addrs()[0]) != want {
		t.Errorf("%v", s.Addrs())
	}
	c := s.dial()
	c.send(get)
	c.expect(200, "hello")
	c.Close()
	s.Close()
	// Others live on it.
	go func() {
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			c.Close()
		}
	}()
	if c, err := l.Accept(); err != nil {
		t.Errorf("the socket was shut down: %v", err)
	} else {
		c.Close()
	}
	l.Close()

	f, err = os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, fd := range []int{int(f.Fd()), 9999} {
		var e *BindError
		if _, err := Bind(Options{FD: fd}); !errors.As(err, &e) {
			t.Errorf("%v", err)
		} else {
			t.Log(err)
		}
	}
}

const childVariable = "GOASGI_TEST_FEW_DESCRIPTORS"

// TestFewDescriptors runs a server in a process that has few descriptors.
func TestFewDescriptors(t *testing.T) {
	if os.Getenv(childVariable) != "" {
		fewDescriptors(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFewDescriptors$", "-test.v")
	cmd.Env = append(os.Environ(), childVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server's process: %v\n%s", err, log.String())
		}
		if n := strings.Count(log.String(), "cannot accept"); n != 1 {
			t.Errorf("%d lines about it, want 1:\n%s", n, log.String())
		}
	}()
	var port int
	if _, err := fmt.Fscanf(skipTo(stdout, "port "), "%d", &port); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, stdout)

	const count = 60 // more than it has descriptors
	var clients []*client
	for range count {
		conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(patience))
		clients = append(clients, &client{conn, t, nil})
	}
	await(t, "the server runs out of descriptors", func() bool { return strings.Contains(log.String(), "cannot accept") })
	before := cpuTime(t, cmd.Process.Pid)
	time.Sleep(300 * time.Millisecond)
	if used := cpuTime(t, cmd.Process.Pid) - before; used > 150*time.Millisecond {
		t.Errorf("the server used %v of 300 ms while it could not accept", used)
	}
	// Each that ends makes room for another.
	for _, c := range clients {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		if b, err := io.ReadAll(c.Conn); err != nil || !bytes.HasSuffix(b, []byte("hello")) {
			t.Fatalf("%q %v", b, err)
		}
		c.Close()
	}
}

func fewDescriptors(t *testing.T) {
	s := serve(t, Options{Log: observe.NewLogger(os.Stderr, observe.Info, false)}, hello)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	limit := uint64(len(entries) + 20)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("port %d\n", s.Addrs()[0].Port)
	io.ReadAll(os.Stdin) // until the parent is done
}

// skipTo reads until after the given text.
func skipTo(r io.Reader, text string) io.Reader {
	var seen []byte
	for b := make([]byte, 1); !bytes.HasSuffix(seen, []byte(text)); seen = append(seen, b...) {
		if _, err := io.ReadFull(r, b); err != nil {
			break
		}
	}
	return r
}

// cpuTime returns the processor time that a process has used.
func cpuTime(t *testing.T, pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100 // USER_HZ is 100 on all of Linux
}
