//go:build linux

// Command goasgi serves Python ASGI applications. It is the Go program: the
// server and CPython, embedded, in one process. Everything but the choice of the
// interpreter is in package cli, which the Python package goasgi calls too.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/goasgi/goasgi/bridge/cpython"
	"github.com/goasgi/goasgi/cmd/cli"
)

// CPython runs on the process's main thread, which is main's only now.
func init() { runtime.LockOSThread() }

func main() {
	instance, status := cli.Start(os.Args[1:], cli.Host{Program: "goasgi", Python: "CPython " + cpython.Version(), Embedded: true}, os.Stdout, os.Stderr)
	if instance == nil {
		os.Exit(status)
	}
	python, err := cpython.Find(instance.Python())
	if err == nil {
		status, err = cpython.Embed(python, instance.Worker())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		status = 1
	}
	os.Exit(instance.Finish(status))
}
