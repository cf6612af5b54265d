package cli

import (
	"fmt"
	"io"
	"os"
	"runtime"
)

// Version is the version of goasgi; the wheel's must be the same.
const Version = "0.1.0"

// Exit statuses.
const (
	exitFailure = 1 // anything that has no status of its own
	exitUsage   = 2 // a mistake in the command line or the environment
	exitStartup = 3 // the application could not be loaded or started, as in uvicorn
)

// A Host is the program around the command.
type Host struct {
	Program    string // name in messages; default "goasgi"
	Python     string // such as "CPython 3.13.0", for --version; empty if not known yet
	Executable string // path of the interpreter that is running already; empty if there is none
	App        string // what messages call an application that is an object already; then argv has no APP
	Embedded   bool   // the host starts an interpreter in its process, and may choose which
}

// versionText is what --version prints.
func versionText(host Host) string {
	python := ""
	if host.Python != "" {
		python = host.Python + ", "
	}
	return fmt.Sprintf("%s %s (%s%s, %s/%s)\n", host.Program, Version, python, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// begin parses argv and answers what needs no server; then options are nil.
func begin(argv []string, host Host, stdout, stderr io.Writer) (o *options, status int) {
	o, err := parse(argv, os.LookupEnv, host)
	switch {
	case err != nil:
		if err.Error() == missingApp {
			io.WriteString(stderr, usageLine(host.Program))
		}
		fmt.Fprintf(stderr, "%s: %v (goasgi --help lists the options)\n", host.Program, err)
		return nil, exitUsage
	case o.help:
		io.WriteString(stdout, helpText(host.Program))
		return nil, 0
	case o.version:
		io.WriteString(stdout, versionText(host))
		return nil, 0
	}
	return o, 0
}
