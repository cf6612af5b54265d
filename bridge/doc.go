// Package bridge is the Go half of the only path between the front and an
// application in CPython. Its C half is package cpython.
//
// # Shape
//
// A [Link] joins one I/O loop and one worker. It is a piece of memfd memory
// with a ring each way and two eventfds, one to wake either side:
//
//	loop ── in ring ──▶ drain() ─▶ app(scope, receive, send)
//	loop ◀── out ring ─ send(), receive(), end of the coroutine
//
// Go and C exchange records (record.go, record.h) through the rings and call
// each other not at all: C is entered once for a worker, for good, and no Go
// function is exported to C. Only descriptors and plain bytes cross, so the
// worker may sit in this process or in another one, and this half needs no
// cgo. [Link.Attach] names the descriptors for an interpreter that is already
// running (the wheel, a worker process); package cpython starts one in this
// process and hands them over.
//
// The extension that gopy generates for the wheel therefore holds no C of ours:
// the plain CPython extension goasgi._bridge serves there and in every worker
// process alike. One build of the C instead of two, nothing of libpython to
// link into Go code, and a worker that has no Go runtime inside.
//
// # Life of a request
//
// The loop parses a head and calls [Link.Open], which writes one record into
// the in ring: addresses, method, target, headers (well-known names by number)
// and the body if it is there already. [Link.Flush] writes 8 bytes into the
// worker's eventfd, if the worker has said that it sleeps. The worker's drain()
// turns the record into a scope dict, frees the record, and runs the
// application in an eager task. Its send() writes the head and the first body
// as one record into the out ring; [Link.Poll] hands it to the loop, which
// writes it to the socket straight from the ring. When the coroutine is done an
// end record follows, and the slot is free again.
//
// # Who owns which byte until when
//
// A record belongs to the side that writes it until it is committed (the ring's
// tail moves), then to the side that reads it until it is released (the head
// moves). Go copies what it is given into the record; C copies a record into
// Python objects before it runs a line of the application. What an event of
// Poll points to lies in the ring and is released after the handler returned.
//
// # Bounds
//
// A ring holds [RingSize] bytes, a record at most a quarter of it. A full ring
// refuses (Open and the others return false; send() suspends) and whoever met
// it is woken when there is room. A call holds at most [asgi.Window] bytes of
// credit each way. Control messages ([Link.Stop], [Link.Signal]) wait in a list
// of at most maxControl entries.
//
// # Trust
//
// Every length that comes out of a ring is checked before it is used. A record
// that does not add up means memory was overwritten: the link stops, says BUG:
// and prints the record, and never reads on.
package bridge
