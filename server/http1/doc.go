// Package http1 is the codec of HTTP/1.0 and HTTP/1.1 (RFC 9112 and RFC 9110):
// it parses request heads, decodes request bodies and encodes response heads.
// It does no I/O, keeps no clock and, in steady state, allocates nothing.
//
// # Life of a request
//
// An I/O loop reads into a buffer of its own and calls [Request.Parse] at the
// start of what has not been consumed. While the head is incomplete Parse
// returns 0; the loop reads more and calls again (with [HeadEnd] in between if
// a head comes in many small parts). With the head complete the loop prepares
// a [Body] with [Body.Reset] and passes it what follows, in whatever parts it
// comes, until [Body.Done]. The next request begins right after that.
//
// [AppendHead] appends a response head to the loop's output and says how the
// body must be framed. [AppendError] appends a whole response of our own.
//
// # Who owns which byte until when
//
// All slices of a [Request] point into the buffer that was given to Parse, in
// which the field names are lower-cased, except Path, which points into memory
// of the Request. They are valid until the buffer is overwritten or Parse is
// called again. The part that [Body.Decode] returns is a piece of its input.
// What is passed to AppendHead and AppendError is copied.
//
// # What is refused
//
// Whatever two recipients could understand differently is refused, never
// repaired, because the difference is what request smuggling lives on: a line
// that does not end with CR LF, a folded field, white space before a colon, a
// length that is a list, a length beside a transfer coding, a second Host. An
// [Error] carries the status to answer with; after it the connection must be
// closed, for nobody knows where the next request would begin.
package http1
