package server

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of the hot path. Those on nonblocking descriptors never
// wait, so they go past the scheduler (RawSyscall): telling it about each one
// costs more than a small read does. Only a wait that may really block is
// announced, for the garbage collector and the other goroutines not to be held
// up by it.

func sysRead(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sysSend writes to a socket. MSG_NOSIGNAL: a client that left is an error of
// the call, not a SIGPIPE.
func sysSend(fd int, b []byte) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// sysSendmsg writes several pieces with one call. m belongs to the loop, so
// that it need not be allocated.
func sysSendmsg(fd int, m *unix.Msghdr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func sysAccept(fd int, sa *unix.RawSockaddrAny, size *uint32) (int, syscall.Errno) {
	*size = unix.SizeofSockaddrAny
	n, _, errno := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(sa)), uintptr(unsafe.Pointer(size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(n), errno
}

func sysEpollCtl(epfd, op, fd int, events uint32, data uint64) error {
	e := unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	_, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epfd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// sysEpollPeek returns what is ready now.
func sysEpollPeek(epfd int, events []unix.EpollEvent) int {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// sysEpollWait waits for at most timeout milliseconds, without end if it is
// negative.
func sysEpollWait(epfd int, events []unix.EpollEvent, timeout int) int {
	n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(timeout), 0, 0)
	if errno != 0 {
		return 0 // EINTR: the loop looks again
	}
	return int(n)
}

func sysShutdown(fd, how int) {
	syscall.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), uintptr(how), 0)
}

func sysClose(fd int) {
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// sysAbort makes the kernel forget a TCP connection and tell the peer so with a
// reset. It works on the socket itself, so also if a forked child holds a
// duplicate of the descriptor, when SO_LINGER and close would do nothing.
func sysAbort(fd int) {
	sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
}
