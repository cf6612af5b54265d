package bridge

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// A record begins with a header of 16 bytes in the machine's byte order, which
// is little-endian on every platform that goasgi supports:
//
//	size   uint32  of the record without padding, header included
//	kind   uint8
//	flags  uint8   flagMore
//	aux    uint16
//	slot   uint32
//	serial uint32
//
// Records begin at multiples of 8. record.h repeats these numbers for C.
const headerSize = 16

// Kinds of records in the in ring.
const (
	recOpen = iota + 1 // openSize fixed bytes, then the strings, headers and body
	recBody            // the body part; flagMore
	recCredit
	recDisconnect // aux: 1 if the client is gone altogether
	recCancel
	recStop
	recSignal // aux: the signal's number
)

// Kinds of records in the out ring.
const (
	recStart   = iota + 1 // aux: status; startSize fixed bytes, headers, body; flagMore
	recPart               // a body part; flagMore
	recTaken              // uint32: bytes
	recWant               //
	recEnd                //
	recControl            // aux: MessageKind; slot: status; then the text
)

const (
	flagMore = 1
	// flagLent: instead of the body stands where it is: address and length,
	// uint64 each. Only a worker in the front's process may say that; the bytes
	// stay in place until the record is released.
	flagLent = 2
)

const (
	openSize  = 40
	startSize = 16
	lentSize  = 16

	samePath  = 0xffffffff // in an open record: the path equals the raw path
	knownName = 0x8000     // in a request header's name field: the rest is a number
)

var native = binary.LittleEndian

func putHeader(b []byte, kind, flags uint8, aux uint16, id asgi.ID) {
	native.PutUint32(b, uint32(len(b)))
	b[4], b[5] = kind, flags
	native.PutUint16(b[6:], aux)
	native.PutUint32(b[8:], id.Slot)
	native.PutUint32(b[12:], id.Serial)
}

// openLen returns the size of the open record of a scope.
func openLen(s *asgi.Scope, body []byte) (total, headers int) {
	for i := range s.Headers {
		h := &s.Headers[i]
		headers += 6 + len(h.Value)
		if h.Known == 0 {
			headers += len(h.Name)
		}
	}
	return headerSize + openSize + len(s.Method) + len(s.RawPath) + len(s.Path) + len(s.Query) +
		len(s.Client.Host) + len(s.Server.Host) + headers + len(body), headers
}

// putOpen fills b, which has the length that openLen said.
func putOpen(b []byte, id asgi.ID, s *asgi.Scope, headers int, body []byte, more bool) {
	putHeader(b, recOpen, bit(more), 0, id)
	f := b[headerSize:]
	f[0], f[1], f[2], f[3] = uint8(s.Type), uint8(s.Version), bit(s.Secure), 0
	native.PutUint16(f[4:], uint16(len(s.Method)))
	native.PutUint16(f[6:], uint16(len(s.Headers)))
	native.PutUint32(f[8:], uint32(len(s.RawPath)))
	path := uint32(samePath)
	if s.Path != nil {
		path = uint32(len(s.Path))
	}
	native.PutUint32(f[12:], path)
	native.PutUint32(f[16:], uint32(len(s.Query)))
	native.PutUint32(f[20:], uint32(headers))
	native.PutUint32(f[24:], uint32(len(body)))
	native.PutUint16(f[28:], uint16(len(s.Client.Host)))
	native.PutUint16(f[30:], uint16(len(s.Server.Host)))
	native.PutUint32(f[32:], uint32(s.Client.Port))
	native.PutUint32(f[36:], uint32(s.Server.Port))
	n := openSize
	n += copy(f[n:], s.Method)
	n += copy(f[n:], s.RawPath)
	n += copy(f[n:], s.Path)
	n += copy(f[n:], s.Query)
	n += copy(f[n:], s.Client.Host)
	n += copy(f[n:], s.Server.Host)
	for i := range s.Headers {
		h := &s.Headers[i]
		if h.Known != 0 {
			native.PutUint16(f[n:], knownName|uint16(h.Known))
		} else {
			native.PutUint16(f[n:], uint16(len(h.Name)))
		}
		native.PutUint32(f[n+2:], uint32(len(h.Value)))
		n += 6
		if h.Known == 0 {
			n += copy(f[n:], h.Name)
		}
		n += copy(f[n:], h.Value)
	}
	copy(f[n:], body)
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// errRecord is what parsing a record of the out ring can find wrong. It means
// that memory was overwritten.
type errRecord string

func (e errRecord) Error() string { return "bridge: record " + string(e) }

// splitRecord returns the record at the start of committed.
func splitRecord(committed []byte) (record []byte, err error) {
	if len(committed) < headerSize {
		return nil, errRecord("shorter than its header")
	}
	size := int(native.Uint32(committed))
	if size < headerSize || size > maxRecord || align(size) > uint64(len(committed)) {
		return nil, errRecord(fmt.Sprintf("of size %d where %d bytes are committed", size, len(committed)))
	}
	return committed[:size:size], nil
}

// parseEvent turns a record of the out ring into an event that points into it.
// Control records are not events. local tells that the worker is in this
// process, so that it may lend bodies.
func parseEvent(rec []byte, e *asgi.Event, local bool) error {
	kind, flags := rec[4], rec[5]
	e.ID = asgi.ID{Slot: native.Uint32(rec[8:]), Serial: native.Uint32(rec[12:])}
	e.More = flags&flagMore != 0
	e.Headers = e.Headers[:0]
	e.Body, e.Status, e.Bytes = nil, 0, 0
	if e.ID.Slot >= asgi.MaxSlots {
		return errRecord("with a slot that cannot be")
	}
	data := rec[headerSize:]
	switch kind {
	case recStart:
		e.Kind = asgi.Start
		e.Status = int(native.Uint16(rec[6:]))
		if len(data) < startSize {
			return errRecord("of a start that is too short")
		}
		count, headers, body := native.Uint32(data), native.Uint32(data[4:]), native.Uint32(data[8:])
		data = data[startSize:]
		if flags&flagLent != 0 {
			body = lentSize
		}
		if uint64(headers)+uint64(body) != uint64(len(data)) {
			return errRecord("of a start whose lengths do not add up")
		}
		e.Body = data[headers:]
		if flags&flagLent != 0 && !lent(&e.Body, local) {
			return errRecord("of a start with a lent body that cannot be")
		}
		h := data[:headers]
		for range count {
			if len(h) < 8 {
				return errRecord("with a header cut short")
			}
			name, value := uint64(native.Uint32(h)), uint64(native.Uint32(h[4:]))
			h = h[8:]
			if name+value > uint64(len(h)) {
				return errRecord("with a header longer than its room")
			}
			e.Headers = append(e.Headers, asgi.Header{Name: h[:name:name], Value: h[name : name+value : name+value]})
			h = h[name+value:]
		}
		if len(h) != 0 {
			return errRecord("with bytes behind its headers")
		}
	case recPart:
		e.Kind, e.Body = asgi.Body, data
		if flags&flagLent != 0 && !lent(&e.Body, local) {
			return errRecord("of a lent body that cannot be")
		}
	case recTaken:
		if len(data) != 4 {
			return errRecord("of a credit with a wrong length")
		}
		e.Kind, e.Bytes = asgi.Taken, int(native.Uint32(data))
		if e.Bytes > asgi.Window {
			return errRecord("of a credit beyond the window")
		}
	case recWant:
		e.Kind = asgi.Want
	case recEnd:
		e.Kind = asgi.End
	default:
		return errRecord(fmt.Sprintf("of unknown kind %d", kind))
	}
	return nil
}

// lent replaces body, the description of lent bytes, by the bytes.
func lent(body *[]byte, local bool) bool {
	if !local || len(*body) != lentSize {
		return false
	}
	address, size := native.Uint64(*body), native.Uint64((*body)[8:])
	if address == 0 || address >= 1<<48 || size > asgi.Window { // beyond it lies no memory of a process
		return false
	}
	*body = unsafe.Slice(*(**byte)(unsafe.Pointer(&address)), size)
	return true
}
