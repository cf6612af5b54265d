//go:build !linux

package main

import (
	"os"

	"github.com/goasgi/goasgi/cmd/cli"
)

func main() {
	_, status := cli.Start(os.Args[1:], cli.Host{Embedded: true}, os.Stdout, os.Stderr)
	os.Exit(status)
}
