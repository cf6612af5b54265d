package observe

import (
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
)

const (
	// accessLimit bounds the entries that wait to be written, in bytes.
	accessLimit = 1 << 20
	// accessSoon is how much may wait before the writer is woken early.
	accessSoon = accessLimit / 4
	// accessPause is the least time between two writes: a line appears at once
	// on a quiet server, and a busy one writes many at a time.
	accessPause = 50 * time.Millisecond
	// maxTarget bounds the bytes of a request target that a line shows.
	maxTarget = 8 << 10
)

// An entry is: its size, the client's port, the status, and the lengths of the
// host, the method and the target (uint16 each, but for the port, int32), the
// version (a byte); then host, method, target.
const entryHeader = 4 + 4 + 2 + 2 + 2 + 2 + 1

// An AccessBuffer gathers the entries of one I/O loop. The zero value is empty.
type AccessBuffer struct {
	b     []byte
	count int
}

// Append adds the entry of one request. target is the request target as it
// stood in the request. Nothing is kept of what is passed.
func (a *AccessBuffer) Append(client asgi.Addr, method, target []byte, version asgi.Version, status int) {
	host := client.Host
	host = host[:min(len(host), 255)]
	method = method[:min(len(method), 255)]
	target = target[:min(len(target), maxTarget)]
	size := entryHeader + len(host) + len(method) + len(target)
	b := a.b
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint32(b, uint32(client.Port))
	b = binary.LittleEndian.AppendUint16(b, uint16(status))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(host)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(method)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(target)))
	b = append(b, byte(version))
	b = append(b, host...)
	b = append(b, method...)
	b = append(b, target...)
	a.b = b
	a.count++
}

// Len returns the number of entries.
func (a *AccessBuffer) Len() int { return a.count }

// An AccessLog writes a line for each request, formatted as uvicorn does it:
//
//	INFO:     127.0.0.1:5000 - "GET /path?q HTTP/1.1" 200 OK
//
// Its methods may be called by any goroutine.
type AccessLog struct {
	w     io.Writer // the writer goroutine's
	color bool
	wake  chan struct{} // capacity 1: something waits
	soon  chan struct{} // capacity 1: much waits, or Close was called
	done  chan struct{} // closed when the writer goroutine has ended

	mu      sync.Mutex
	waiting []byte // entries not yet written
	dropped int    // entries for which there was no room
	closed  bool
}

// NewAccessLog returns an AccessLog that writes to w in a goroutine of its own,
// until Close. color tells whether level, request line and status are coloured.
func NewAccessLog(w io.Writer, color bool) *AccessLog {
	a := &AccessLog{
		w: w, color: color,
		wake: make(chan struct{}, 1), soon: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go a.run()
	return a
}

// Take hands the entries of b over and empties it. If there is no room for
// them they are dropped, and counted; the log says how many.
func (a *AccessLog) Take(b *AccessBuffer) {
	if b.count == 0 {
		return
	}
	a.mu.Lock()
	first := len(a.waiting) == 0 && a.dropped == 0
	if a.closed || len(a.waiting)+len(b.b) > accessLimit {
		a.dropped += b.count
	} else {
		a.waiting = append(a.waiting, b.b...)
	}
	much := len(a.waiting) > accessSoon
	a.mu.Unlock()
	b.b, b.count = b.b[:0], 0
	if first {
		ring(a.wake)
	}
	if much {
		ring(a.soon)
	}
}

func ring(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Close writes what waits and ends the writer.
func (a *AccessLog) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	ring(a.wake)
	ring(a.soon)
	<-a.done
}

func (a *AccessLog) run() {
	defer close(a.done)
	var entries, lines []byte
	pause := time.NewTimer(0)
	<-pause.C
	for {
		<-a.wake
		a.mu.Lock()
		entries, a.waiting = a.waiting, entries[:0]
		dropped, closed := a.dropped, a.closed
		a.dropped = 0
		a.mu.Unlock()

		lines = lines[:0]
		for rest := entries; len(rest) > 0; {
			size := binary.LittleEndian.Uint32(rest)
			lines = appendEntry(lines, rest[:size], a.color)
			rest = rest[size:]
		}
		if dropped > 0 {
			lines = appendPrefix(lines, Warning, a.color)
			lines = append(lines, "observe: the access log could not be written fast enough, lines dropped: "...)
			lines = strconv.AppendInt(lines, int64(dropped), 10)
			lines = append(lines, '\n')
		}
		if len(lines) > 0 {
			// There is nowhere to report that the log cannot be written.
			_, _ = a.w.Write(lines)
		}
		if closed {
			return
		}
		pause.Reset(accessPause)
		select {
		case <-pause.C:
		case <-a.soon:
		}
	}
}

var versions = [...]string{asgi.HTTP10: "1.0", asgi.HTTP11: "1.1", asgi.HTTP2: "2", asgi.HTTP3: "3"}

const (
	bold        = "\x1b[1m"
	brightWhite = "\x1b[97m"
	green       = "\x1b[32m"
	yellow      = "\x1b[33m"
	red         = "\x1b[31m"
	brightRed   = "\x1b[91m"
)

var statusColours = [...]string{1: brightWhite, 2: green, 3: yellow, 4: red, 5: brightRed}

// appendEntry appends the line of one entry.
func appendEntry(b, e []byte, color bool) []byte {
	le := binary.LittleEndian
	port, status := int32(le.Uint32(e[4:])), int(le.Uint16(e[8:]))
	hostLen, methodLen := int(le.Uint16(e[10:])), int(le.Uint16(e[12:]))
	version := e[16]
	text := e[entryHeader:]
	host, method, target := text[:hostLen], text[hostLen:hostLen+methodLen], text[hostLen+methodLen:]

	b = appendPrefix(b, Info, color)
	switch {
	case len(host) == 0:
		b = append(b, "unix"...)
	case port == asgi.NoPort:
		b = append(b, host...)
	default:
		v6 := false
		for _, c := range host {
			v6 = v6 || c == ':'
		}
		if v6 {
			b = append(append(append(b, '['), host...), ']')
		} else {
			b = append(b, host...)
		}
		b = strconv.AppendInt(append(b, ':'), int64(port), 10)
	}
	b = append(b, ` - "`...)
	if color {
		b = append(b, bold...)
	}
	b = appendEscaped(b, method)
	b = append(b, ' ')
	b = appendEscaped(b, target)
	b = append(b, " HTTP/"...)
	b = append(b, versions[min(int(version), len(versions)-1)]...)
	if color {
		b = append(b, reset...)
	}
	b = append(b, `" `...)
	colour := ""
	if class := status / 100; color && class > 0 && class < len(statusColours) {
		colour = statusColours[class]
	}
	b = append(b, colour...)
	b = strconv.AppendInt(b, int64(status), 10)
	phrase := http.StatusText(status)
	if status == ClientLeft {
		phrase = "Client Closed Request"
	}
	if phrase != "" {
		b = append(append(b, ' '), phrase...)
	}
	if colour != "" {
		b = append(b, reset...)
	}
	return append(b, '\n')
}

// ClientLeft is the status in the access log of a request whose client left
// before there was an answer, as nginx has it.
const ClientLeft = 499

// appendEscaped appends s so that it can neither end the quotes nor the line,
// nor speak to a terminal.
func appendEscaped(b, s []byte) []byte {
	const digits = "0123456789abcdef"
	for _, c := range s {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			b = append(b, '\\', 'x', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}
