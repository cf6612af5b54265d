// Package cpython is the C half of the bridge, and starts it inside a Go
// program. module.c tells how the C works. The same C files, without embed.c,
// make the plain extension goasgi._bridge of the wheel.
//
// Nothing here names libpython: include and library paths come from CGO_CFLAGS
// and CGO_LDFLAGS, which the Makefile takes from the interpreter in use.
package cpython

/*
#cgo CFLAGS: -std=c11 -O3 -fvisibility=hidden -Wno-cast-function-type
#include <stdlib.h>
#include "embed.h"
*/
import "C"

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unsafe"

	"github.com/goasgi/goasgi/python"
)

// bootstrap imports the Python half from memory and runs the worker.
//
//go:embed bootstrap.py
var bootstrap string

// Version returns the version of the linked libpython, such as "3.13.0".
func Version() string { return C.GoString(C.embed_version()) }

// Embed runs a worker in an interpreter inside this process until it ends, and
// returns its exit status. config is the worker's JSON.
//
// The caller must be on the process's main thread and have locked it
// (runtime.LockOSThread in init), because Python's main thread is that thread;
// and Embed may be called once, for the interpreter is never finalized.
func Embed(interpreter Interpreter, config []byte) (status int, err error) {
	sources := map[string]string{}
	err = fs.WalkDir(python.Files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := python.Files.ReadFile(name)
		module := strings.ReplaceAll(strings.TrimSuffix(name, ".py"), "/", ".")
		if path.Base(name) == "__init__.py" {
			module = strings.ReplaceAll(path.Dir(name), "/", ".")
		}
		sources[module] = string(text)
		return err
	})
	if err != nil {
		return 1, fmt.Errorf("cpython: %w", err)
	}
	data, err := json.Marshal(map[string]any{"sources": sources, "config": json.RawMessage(config)})
	if err != nil {
		return 1, fmt.Errorf("cpython: %w", err)
	}
	executable, script, text := C.CString(interpreter.Executable), C.CString(bootstrap), C.CString(string(data))
	defer func() {
		for _, s := range []*C.char{executable, script, text} {
			C.free(unsafe.Pointer(s))
		}
	}()
	var message [512]C.char
	status = int(C.embed_run(executable, script, text, &message[0], C.size_t(len(message))))
	if status < 0 {
		return 1, errors.New("cpython: cannot start " + interpreter.Executable + ": " + C.GoString(&message[0]))
	}
	return status, nil
}
