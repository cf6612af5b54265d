// Package observe tells people what a server does: the log and the access log.
//
// # Life of a line
//
// A [Logger] writes a line when it is called; it is for events that are rare.
// An [AccessLog] takes an entry for every request: the I/O loops gather what
// belongs in a line in an [AccessBuffer] of their own, without a lock and
// without an allocation, and hand the buffer over once for each batch of
// requests. A goroutine of the AccessLog formats and writes what has gathered.
//
// # Who owns which byte until when
//
// What is passed to [AccessBuffer.Append] is copied before it returns. An
// AccessBuffer belongs to its loop; [AccessLog.Take] copies it and leaves it
// empty.
package observe
