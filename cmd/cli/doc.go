// Package cli is the command: flags and environment become options, options
// become a running server. It is the only place that knows a flag's name, and
// both hosts call it, the Go program (cmd/goasgi) and the wheel
// (python/control), so that they are the same command.
//
// # Life of a command
//
// [Start] parses the command line once. --help, --version and mistakes end
// there. Otherwise it binds the sockets, starts the I/O loop over a new link,
// takes the signals and returns an [Instance]. The host gives [Instance.Worker]
// to CPython and runs the worker on the process's main thread until it ends,
// however long that takes. The instance waits for the worker's messages
// meanwhile: with Started it begins to accept, Failed and Stopped end it. When
// the worker has returned, the host calls [Instance.Finish], which closes
// everything, gives the signals back and says the exit status.
//
// # Signals
//
// Go owns INT, TERM, HUP and USR2 from Start to Finish in both hosts: a Python
// handler runs late, or never while the main thread is stuck in C. The first INT
// or TERM drains the server and then stops the worker; a second one ends the
// process at once. Code in the worker that installs a handler of its own takes
// the signal away silently; the worker reports that, and the instance puts the
// kernel's action for the signal back and lets the handler run as well.
//
// # Goroutines
//
// Two: supervise owns all state of an instance that changes; watch reads the
// signals, so that a second signal works even while supervise is stuck writing
// a log that nobody reads.
package cli
