package cli

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// owned are the signals that Go owns while an instance runs.
var owned = [...]syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2}

// A sigaction is the kernel's own struct sigaction: handler, flags, restorer,
// mask. It is carried about unread, but for the handler, so that one size does
// for all machines.
//
// It is saved and put back with the system call because os/signal cannot win a
// signal back that was taken by sigaction(2) in C. Notify does nothing for a
// signal that it believes to own, and Reset followed by Notify works in a
// shared library only: in a program (tried with Go 1.26) the runtime keeps
// believing. Nor is there a moment in between without a handler this way.
type sigaction struct {
	handler uintptr
	rest    [7]uintptr
}

// ignores tells whether the action is SIG_IGN, as nohup leaves it for HUP.
func (a *sigaction) ignores() bool { return a.handler == 1 }

func getAction(s syscall.Signal) (a sigaction, err error) {
	return a, rtSigaction(s, nil, &a)
}

func setAction(s syscall.Signal, a *sigaction) error { return rtSigaction(s, a, nil) }

func rtSigaction(s syscall.Signal, set, get *sigaction) error {
	const sizeofMask = 8 // what rt_sigaction(2) wants as sigsetsize: 64 signals
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s),
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(get)), sizeofMask, 0, 0)
	if errno != 0 {
		return os.NewSyscallError("rt_sigaction", errno)
	}
	return nil
}
