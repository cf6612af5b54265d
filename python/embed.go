// Package python holds the Python package goasgi as files, for the Go program,
// which has its own copy of it inside.
package python

import "embed"

// Files has the modules of the package, as goasgi/NAME.py.
//
//go:embed goasgi/*.py
var Files embed.FS
