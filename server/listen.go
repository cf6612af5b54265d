package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// A BindError says which address cannot be listened on, and why.
type BindError struct {
	Addr string // "127.0.0.1:8000", "unix:/path", "file descriptor 3"
	Err  error  // unwraps to the syscall.Errno if there was one
}

func (e *BindError) Error() string {
	reason := e.Err.Error()
	switch {
	case errors.Is(e.Err, unix.EADDRINUSE):
		reason = "the address is in use"
	case errors.Is(e.Err, unix.EACCES), errors.Is(e.Err, unix.EPERM):
		reason = "no permission"
	case errors.Is(e.Err, unix.EADDRNOTAVAIL):
		reason = "this machine has no such address"
	}
	return fmt.Sprintf("server: cannot listen on %s: %s", e.Addr, reason)
}

func (e *BindError) Unwrap() error { return e.Err }

// A listener is one listening socket. Its fields do not change while loops know
// it.
type listener struct {
	fd        int
	addr      asgi.Addr
	wildcard  bool // the address of a connection must be asked for
	inherited bool // others may use the same socket: it must not be shut down
	tcp       bool
	path      string // of a Unix socket that is ours to remove
	dev, ino  uint64 // of path
}

func (ln *listener) String() string { return addrString(ln.addr) }

func addrString(a asgi.Addr) string {
	if a.Port == asgi.NoPort {
		return "unix:" + a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
}

// bind makes the sockets that the options ask for.
func bind(o *Options) ([]*listener, error) {
	switch {
	case o.FD > 0:
		ln, err := inherit(o.FD)
		if err != nil {
			return nil, &BindError{fmt.Sprintf("file descriptor %d", o.FD), err}
		}
		return []*listener{ln}, nil
	case o.UDS != "":
		ln, err := bindUnix(o.UDS)
		if err != nil {
			return nil, &BindError{"unix:" + o.UDS, err}
		}
		return []*listener{ln}, nil
	}
	return bindTCP(o.Host, o.Port)
}

func bindTCP(host string, port int) ([]*listener, error) {
	name := net.JoinHostPort(host, strconv.Itoa(port))
	if port < 0 || port > 65535 {
		return nil, &BindError{name, errors.New("a port is a number from 0 to 65535")}
	}
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = []netip.Addr{a}
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			return nil, &BindError{name, fmt.Errorf("no address for the name %q: %w", host, err)}
		}
		for _, a := range found {
			if a = a.Unmap(); !slices.Contains(addrs, a) {
				addrs = append(addrs, a)
			}
		}
		// IPv4 first, as people expect of "localhost".
		slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	}
	var list []*listener
	var missing error
	for _, a := range addrs {
		ln, err := bindAddr(a, port, len(addrs) > 1)
		if err != nil {
			if len(addrs) > 1 && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)) {
				missing = &BindError{name, err}
				continue // the name may have an IPv6 address where there is no IPv6
			}
			for _, ln := range list {
				unix.Close(ln.fd)
			}
			return nil, &BindError{net.JoinHostPort(a.String(), strconv.Itoa(port)), err}
		}
		list = append(list, ln)
		port = int(ln.addr.Port) // one port for all addresses of a name
	}
	if len(list) == 0 {
		return nil, missing
	}
	return list, nil
}

func bindAddr(a netip.Addr, port int, only6 bool) (ln *listener, err error) {
	family := unix.AF_INET
	var sa unix.Sockaddr
	if a.Is4() {
		sa = &unix.SockaddrInet4{Port: port, Addr: a.As4()}
	} else {
		family = unix.AF_INET6
		zone, err := zoneIndex(a.Zone())
		if err != nil {
			return nil, err
		}
		sa = &unix.SockaddrInet6{Port: port, Addr: a.As16(), ZoneId: zone}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if family == unix.AF_INET6 {
		v := 0
		if only6 {
			v = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v); err != nil {
			return nil, fmt.Errorf("setsockopt: %w", err)
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return nil, fmt.Errorf("setsockopt: %w", err)
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, err
	}
	return describe(fd)
}

func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, fmt.Errorf("no network interface %q", zone)
	}
	return uint32(i.Index), nil
}

// describe finds out what a bound socket is bound to.
func describe(fd int) (*listener, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("getsockname: %w", err)
	}
	ln := &listener{fd: fd}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		a := netip.AddrFrom4(sa.Addr)
		ln.addr, ln.wildcard, ln.tcp = asgi.Addr{Host: a.String(), Port: int32(sa.Port)}, a.IsUnspecified(), true
	case *unix.SockaddrInet6:
		a := netip.AddrFrom16(sa.Addr)
		ln.addr, ln.wildcard, ln.tcp = asgi.Addr{Host: a.String(), Port: int32(sa.Port)}, a.IsUnspecified(), true
	case *unix.SockaddrUnix:
		ln.addr = asgi.Addr{Host: sa.Name, Port: asgi.NoPort}
	default:
		return nil, errors.New("neither a TCP nor a Unix socket")
	}
	if ln.tcp {
		// Accepted sockets inherit these, which saves system calls for each. A
		// client that vanished without a word is found out in two minutes.
		for _, option := range [...][3]int{
			{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
			{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
			{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
		} {
			if err := unix.SetsockoptInt(fd, option[0], option[1], option[2]); err != nil {
				return nil, fmt.Errorf("setsockopt: %w", err)
			}
		}
	}
	return ln, nil
}

// inherit takes a socket that was bound by somebody else.
func inherit(fd int) (*listener, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if errors.Is(err, unix.EBADF) {
		return nil, errors.New("there is no such descriptor")
	}
	if err != nil {
		return nil, errors.New("it is not a socket")
	}
	if kind != unix.SOCK_STREAM {
		return nil, errors.New("it is not a stream socket")
	}
	if _, err := unix.Getpeername(fd); err == nil {
		return nil, errors.New("it is a connection, not a listening socket")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	ln, err := describe(fd)
	if err != nil {
		return nil, err
	}
	ln.inherited = true
	return ln, nil
}

func bindUnix(path string) (*listener, error) {
	mode := fs.FileMode(0o666) // as uvicorn: whoever may reach the path may connect
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("the path is taken by something that is not a socket")
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, errors.New("another server listens there")
		} else if !errors.Is(err, unix.ECONNREFUSED) {
			return nil, err
		}
		mode = info.Mode().Perm()
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENAMETOOLONG) {
			return nil, fmt.Errorf("the path is too long for a socket, at most 107 bytes: %w", err)
		}
		return nil, err
	}
	ln := &listener{fd: fd, addr: asgi.Addr{Host: path, Port: asgi.NoPort}, path: path}
	var st unix.Stat_t
	err = os.Chmod(path, mode)
	if err == nil {
		err = unix.Lstat(path, &st)
	}
	if err != nil {
		unix.Close(fd)
		os.Remove(path)
		return nil, err
	}
	ln.dev, ln.ino = uint64(st.Dev), st.Ino
	return ln, nil
}

// listen has the kernel take connections.
func (ln *listener) listen(backlog int) error {
	if err := unix.Listen(ln.fd, backlog); err != nil {
		return &BindError{ln.String(), err}
	}
	return nil
}

// unlink removes the path of a Unix socket if it is still ours.
func (ln *listener) unlink() {
	if ln.path == "" {
		return
	}
	var st unix.Stat_t
	if unix.Lstat(ln.path, &st) == nil && uint64(st.Dev) == ln.dev && st.Ino == ln.ino {
		os.Remove(ln.path)
	}
	ln.path = ""
}

// close closes the listening socket. A forked child of the application may hold
// a duplicate, with which the kernel would go on taking connections: so it is
// shut down first, unless it was inherited and others live on it.
func (ln *listener) close() {
	ln.unlink()
	if !ln.inherited {
		unix.Shutdown(ln.fd, unix.SHUT_RDWR)
	}
	unix.Close(ln.fd)
}

// listenTo puts listening sockets into the loop's epoll set. EPOLLEXCLUSIVE: of
// several loops that wait, a connection wakes one.
func (l *loop) listenTo(list []*listener) {
	l.listeners = list
	for _, ln := range list {
		if err := sysEpollCtl(l.epfd, syscall.EPOLL_CTL_ADD, ln.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, uint64(ln.fd)); err != nil {
			l.log.Errorf("server: epoll_ctl: %v", err)
		}
	}
}

// stopListening takes the listening sockets out of the loop's epoll set.
func (l *loop) stopListening() {
	for _, ln := range l.listeners {
		sysEpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, ln.fd, 0, 0)
	}
	l.listeners = nil
	l.resumeAt = never
}

// accept accepts at most limit connections.
func (l *loop) accept(ln *listener, limit int) {
	for range limit {
		if l.resumeAt != never {
			return
		}
		fd, errno := sysAccept(ln.fd, &l.sa, &l.saLen)
		switch errno {
		case 0:
			client := asgi.Addr{Port: asgi.NoPort}
			server := ln.addr
			if ln.tcp {
				client = rawAddr(&l.sa)
				if ln.wildcard {
					server = l.localAddr(fd, server)
				}
			}
			l.adopt(fd, client, server)
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			l.pauseAccept(errno)
			return
		default:
			// Errors of the connection that was to be accepted, which Linux
			// passes on: "treat them like EAGAIN by retrying", accept(2).
		}
	}
}

// pauseAccept stops accepting until a connection is closed or a second is over.
// The listening sockets leave the epoll set, or they would wake the loop again
// and again. A pause that follows on another is the same pause to the log.
func (l *loop) pauseAccept(errno syscall.Errno) {
	for _, ln := range l.listeners {
		sysEpollCtl(l.epfd, syscall.EPOLL_CTL_DEL, ln.fd, 0, 0)
	}
	if l.now >= l.quietTill {
		l.log.Errorf("server: cannot accept connections: %v (%d are open here); trying again when one is closed", errno, l.connections)
	}
	l.resumeAt = l.now + int64(time.Second)
	l.quietTill = l.now + int64(10*time.Second)
}

// resumeAccept ends a pause.
func (l *loop) resumeAccept() {
	l.resumeAt = never
	l.listenTo(l.listeners)
}

// rawAddr makes an address of what the kernel filled in.
func rawAddr(sa *unix.RawSockaddrAny) asgi.Addr {
	port := func(p *uint16) int32 {
		return int32(binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]))
	}
	switch sa.Addr.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return asgi.Addr{Host: netip.AddrFrom4(a.Addr).String(), Port: port(&a.Port)}
	case unix.AF_INET6:
		a := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return asgi.Addr{Host: netip.AddrFrom16(a.Addr).Unmap().String(), Port: port(&a.Port)}
	}
	return asgi.Addr{Port: asgi.NoPort}
}

// localAddr returns our address of a connection, which one to a wildcard
// address must be asked for.
func (l *loop) localAddr(fd int, otherwise asgi.Addr) asgi.Addr {
	l.saLen = unix.SizeofSockaddrAny
	_, _, errno := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd), uintptr(unsafe.Pointer(&l.sa)), uintptr(unsafe.Pointer(&l.saLen)))
	if errno != 0 {
		return otherwise
	}
	return rawAddr(&l.sa)
}
