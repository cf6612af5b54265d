// Package server serves HTTP to clients and hands their requests to
// applications behind ports (package asgi). It owns the listening sockets, the
// connections, their limits and their end.
//
// # Shape
//
// A [Server] has one I/O loop for each port. A loop is one goroutine with one
// epoll instance, in whose set are the listening sockets (shared by all loops,
// EPOLLEXCLUSIVE), the connections it accepted, its port's descriptor, and an
// eventfd for what other goroutines want of it (Accept, Shutdown, Close). There
// is no other goroutine, no lock and no allocation on the way of a request.
//
//	wait ─▶ read, parse, Open, Body ─▶ Flush ─▶ Poll, encode ─▶ write ─▶ wait
//	        for every ready connection         all events       one call for
//	                                                            each connection
//
// Everything happens in batches: all connections that are ready are read and
// their requests passed before the application is woken, all its answers are
// encoded before any is written. The loop sleeps only when a look at both sides
// found nothing to do.
//
// # Life of a request
//
// A connection is registered with epoll once, edge-triggered, and nothing is
// changed there until it is closed. conn.go: when it is readable the loop reads
// into a buffer that all its connections share, parses the head (package
// http1), takes a free slot of its table of calls and opens the call with as
// much of the body as is there already. The rest of the body follows within the
// call's credit, and reading stops where the credit does.
//
// calls.go: what the application does comes back as events. A head is encoded
// into the connection's out buffer, with the body part that came with it; the
// buffer is written after the batch. A body part of 16 KiB or more is written
// at once from the port's memory, together with what is pending. What the
// socket does not take stays in the out buffer, and as the socket takes it the
// application gets its credit back.
//
// When the response is complete the connection is separated from the call and
// goes on to its next request, although the call may live on until the event
// End. A connection has at most one call that is not answered: what a client
// pipelines waits, unparsed.
//
// A response that cannot be completed breaks the connection off so that the
// client sees it is short: no last chunk, fewer bytes than Content-Length, or a
// reset where nothing else would show it.
//
// # Who owns which byte until when
//
// What was read lies in the loop's shared buffer until the end of the same call
// of run. What cannot be consumed then (a part of a head, pipelined requests, a
// body part for which the port had no room) moves to the connection's in
// buffer. A connection without a call and without such a rest has no buffer at
// all. Buffers come from and go back to the loop's pool.
//
// Slices of a parsed request point into one of these buffers and are valid
// until the request was opened; the port copies. What the access log needs
// later is copied to the call. An event's bytes are the port's; they are
// written or copied before Handle returns.
//
// # Bounds
//
// Of a request body at most [asgi.Window] bytes are with the application and
// not taken, and at most one read more waits in the in buffer. Of a response
// body at most Window bytes wait in the out buffer, with the heads, and with
// one more window of answers that were complete before: beyond that no further
// pipelined request is looked at.
//
// # When the port has no room
//
// A connection whose next step was refused is in the list loop.blocked and is
// not read from; a call about which something is to be said is in loop.waiting,
// with flags for what. Both are tried again in every batch, in order. Since the
// port makes its descriptor readable when room has come, none is forgotten.
//
// # Descriptors and forks
//
// A child that the application forks has duplicates of all descriptors until it
// executes something. Therefore a connection is taken out of the epoll set and
// shut down before it is closed, and so are listening sockets, unless they were
// inherited.
//
// # Time
//
// The clock is read once for each batch, and the Date line is made once a
// second. Connections that wait for the same length of time are in one list in
// the order of their deadlines (timers.go).
package server
