// Package control is what the wheel's extension module offers to Python. gopy
// generates the extension from it, so it has nothing but functions over
// strings, numbers and booleans; what has parts goes as JSON. A request never
// passes through here: the worker talks to the front through its link.
//
// The order is Start, then the worker of [cli.Instance.Worker] on the main
// thread, then Finish; there is one instance at a time in a process. Stop and
// Stats may be called from any thread in between. In a child that was forked
// from a process with a Go runtime nothing of Go may be called at all; the
// Python package sees to that, and the functions refuse as far as they can.
package control

import (
	"encoding/json"
	"os"
	"sync"

	"github.com/goasgi/goasgi/cmd/cli"
)

var (
	pid = os.Getpid()

	mu      sync.Mutex
	running *cli.Instance // with mu held
)

const (
	errForked  = "goasgi: this process was forked from a running server and cannot use it; start a new process instead (multiprocessing: spawn)"
	errRunning = "goasgi: a server is running in this process already; there is one at a time, stop it first"
	errNone    = "goasgi: no server is running in this process; start one first"
)

// Start begins a server. argv is a JSON list of the command's arguments without
// the program's name. host is a JSON object, all of whose members may be left
// out: "program" is the name in messages, "python" the interpreter's version
// for --version, such as "CPython 3.13.0", "executable" its path (sys.executable),
// and "app" what messages call an application that is an object already; then
// argv has no APP.
//
// The answer is a JSON object: {"worker": {…}, "urls": […]} with the worker's
// configuration and where the server will listen, {"status": n} if there is nothing to run and the process should exit with
// that status, or {"error": "…"} if the call was wrong.
func Start(argv string, host string) string {
	if os.Getpid() != pid {
		return failure(errForked)
	}
	mu.Lock()
	defer mu.Unlock()
	if running != nil {
		return failure(errRunning)
	}
	var args []string
	if err := json.Unmarshal([]byte(argv), &args); err != nil {
		return failure("goasgi: start: expected a JSON list of strings as argv: " + err.Error())
	}
	var h struct{ Program, Python, Executable, App string }
	if host != "" {
		if err := json.Unmarshal([]byte(host), &h); err != nil {
			return failure("goasgi: start: expected a JSON object as host: " + err.Error())
		}
	}
	i, status := cli.Start(args, cli.Host{Program: h.Program, Python: h.Python, Executable: h.Executable, App: h.App}, os.Stdout, os.Stderr)
	if i == nil {
		return answer(map[string]any{"status": status})
	}
	running = i
	return answer(map[string]any{"worker": json.RawMessage(i.Worker()), "urls": i.URLs()})
}

// Finish ends the server after its worker has ended with that status, and
// returns the process's exit status. Without a server it returns status.
func Finish(status int) int {
	if os.Getpid() != pid {
		return status
	}
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return status
	}
	defer func() { running = nil }()
	return running.Finish(status)
}

// Stop begins to stop the server, as the first SIGTERM does, and returns at
// once. The answer is empty, or says why not.
func Stop() string {
	i, err := current()
	if i == nil {
		return err
	}
	i.Stop()
	return ""
}

// Stats is what the server counts, as a JSON object: "connections" and "calls"
// at the moment, "accepted" connections and "requests" so far.
func Stats() string {
	i, err := current()
	if i == nil {
		return failure(err)
	}
	s := i.Stats()
	return answer(map[string]any{
		"connections": s.Connections, "calls": s.Calls, "accepted": s.Accepted, "requests": s.Requests,
	})
}

func current() (*cli.Instance, string) {
	if os.Getpid() != pid {
		return nil, errForked
	}
	mu.Lock()
	defer mu.Unlock()
	if running == nil {
		return nil, errNone
	}
	return running, ""
}

func failure(text string) string { return answer(map[string]any{"error": text}) }

func answer(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: control: " + err.Error())
	}
	return string(b)
}
