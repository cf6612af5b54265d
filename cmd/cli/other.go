//go:build !linux

package cli

import (
	"fmt"
	"os"
	"runtime"
)

// An Instance is a running server; on this system there is none.
type Instance struct{}

// Start says that this version needs Linux.
func Start(argv []string, host Host, stdout, stderr *os.File) (*Instance, int) {
	if host.Program == "" {
		host.Program = "goasgi"
	}
	o, status := begin(argv, host, stdout, stderr)
	if o == nil {
		return nil, status
	}
	fmt.Fprintf(stderr, "%s: this version runs on Linux only (it uses epoll, eventfd and memfd), not on %s; "+
		"a Linux container or virtual machine runs it\n", host.Program, runtime.GOOS)
	return nil, exitFailure
}
