package http1

import (
	"encoding/binary"
	"math/bits"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// maxName bounds a field name: a record of the bridge has 15 bits for its
// length, and no name that anybody uses comes near.
const maxName = 1 << 10

var (
	errFieldStart  = &Error{400, "a field line begins with white space (line folding is not allowed)"}
	errFieldName   = &Error{400, "a field name is empty or contains a character that is not allowed there"}
	errFieldSpace  = &Error{400, "there is white space between a field name and its colon"}
	errFieldValue  = &Error{400, "a field value contains a control character"}
	errLineEnd     = &Error{400, "a line does not end with CR LF"}
	errNameLong    = &Error{431, "a field name is too long"}
	errFieldCount  = &Error{431, "there are too many fields"}
	errHostMissing = &Error{400, "the Host field is missing"}
	errHostTwice   = &Error{400, "there is more than one Host field"}
	errHost        = &Error{400, "the Host field is not valid"}
	errLength      = &Error{400, "Content-Length is not one decimal number"}
	errLengthTwice = &Error{400, "there is more than one Content-Length field"}
	errLengthLarge = &Error{400, "Content-Length is too large"}
	errBoth        = &Error{400, "Content-Length and Transfer-Encoding must not come together"}
	errCoding      = &Error{400, "Transfer-Encoding is not exactly: chunked"}
	errCodingTwice = &Error{400, "there is more than one Transfer-Encoding field"}
	errCoding10    = &Error{400, "Transfer-Encoding is not allowed in HTTP/1.0"}
	errCodingOther = &Error{501, "no transfer coding other than chunked is implemented"}
	errExpect      = &Error{417, "no expectation other than 100-continue can be met"}
)

// What the fields of a head have said so far.
const (
	sawHost = 1 << iota
	sawLength
	sawCoding
	sawExpect
	sawUpgrade
	sawWebSocket
	optionClose // options of Connection
	optionKeepAlive
	optionUpgrade
)

// parseFields parses the fields from index i of buf on and returns where the
// head ends, or 0 if it is not complete.
func (r *Request) parseFields(buf []byte, i, limit int) (int, *Error) {
	r.HostIndex = -1
	r.ContentLength = -1
	r.Chunked = false
	fields := r.Headers[:0]
	saw := 0
	var coding *Error // what is wrong with Transfer-Encoding
	for {
		start := i
		for i < len(buf) {
			c := lower[buf[i]]
			if c == 0 {
				break
			}
			buf[i] = c
			i++
		}
		if i-start > maxName {
			return 0, errNameLong
		}
		if i == len(buf) {
			r.Headers = fields
			return 0, nil
		}
		if buf[i] != ':' || i == start {
			if i == start && buf[i] == '\r' {
				if i+1 == len(buf) {
					r.Headers = fields
					return 0, nil
				}
				if buf[i+1] != '\n' {
					return 0, errLineEnd
				}
				break // the empty line
			}
			return 0, nameError(buf[i], i == start)
		}
		name := buf[start:i:i]

		i++
		for i < len(buf) && (buf[i] == ' ' || buf[i] == '\t') {
			i++
		}
		start = i
		i = valueEnd(buf, i)
		if i+1 >= len(buf) {
			if i < len(buf) && buf[i] != '\r' {
				return 0, valueError(buf[i])
			}
			r.Headers = fields
			return 0, nil
		}
		if buf[i] != '\r' || buf[i+1] != '\n' {
			return 0, valueError(buf[i])
		}
		end := i
		i += 2
		for end > start && (buf[end-1] == ' ' || buf[end-1] == '\t') {
			end--
		}
		value := buf[start:end:end]

		if len(fields) == limit {
			return 0, errFieldCount
		}
		known := asgi.KnownName(name)
		fields = append(fields, asgi.Header{Name: name, Value: value, Known: known})
		if known == 0 || known > asgi.Upgrade {
			continue
		}
		switch known {
		case asgi.Host:
			if saw&sawHost != 0 {
				return 0, errHostTwice
			}
			if !validHost(value) {
				return 0, errHost
			}
			r.HostIndex = len(fields) - 1
			saw |= sawHost
		case asgi.Connection:
			saw |= connectionOptions(value)
		case asgi.ContentLength:
			if saw&sawLength != 0 {
				return 0, errLengthTwice
			}
			n, e := parseLength(value)
			if e != nil {
				return 0, e
			}
			r.ContentLength = n
			saw |= sawLength
		case asgi.TransferEncoding:
			if saw&sawCoding != 0 {
				return 0, errCodingTwice
			}
			coding = codingError(value)
			saw |= sawCoding
		case asgi.Expect:
			if !equalFold(value, "100-continue") {
				saw |= sawExpect << 16
			}
			saw |= sawExpect
		case asgi.Upgrade:
			saw |= sawUpgrade
			for list := value; len(list) > 0; {
				var protocol []byte
				if protocol, list = nextItem(list); equalFold(protocol, "websocket") {
					saw |= sawWebSocket
				}
			}
		}
	}
	r.Headers = fields
	if e := r.conclude(saw, coding); e != nil {
		return 0, e
	}
	return i + 2, nil
}

// conclude sets what follows from all fields together.
func (r *Request) conclude(saw int, coding *Error) *Error {
	http11 := r.Version == asgi.HTTP11
	// RFC 9112 3.2: "A server MUST respond with a 400 (Bad Request) status code
	// to any HTTP/1.1 request message that lacks a Host header field".
	if http11 && saw&sawHost == 0 {
		return errHostMissing
	}
	if saw&sawCoding != 0 {
		switch {
		// RFC 9112 6.1: "A server MAY reject a request that contains both
		// Content-Length and Transfer-Encoding".
		case saw&sawLength != 0:
			return errBoth
		// RFC 9112 6.1: "A server or client that receives an HTTP/1.0 message
		// containing a Transfer-Encoding header field MUST treat the message as
		// if the framing is faulty".
		case !http11:
			return errCoding10
		case coding != nil:
			return coding
		}
		r.Chunked = true
	}
	if http11 {
		r.KeepAlive = saw&optionClose == 0
	} else {
		r.KeepAlive = saw&(optionClose|optionKeepAlive) == optionKeepAlive
	}
	// RFC 9110 10.1.1: "A server that receives a 100-continue expectation in an
	// HTTP/1.0 request MUST ignore that expectation." "A server MAY omit sending
	// a 100 (Continue) response if [...] the framing indicates that there is no
	// content." "A server that receives an Expect field value containing a
	// member other than 100-continue MAY respond with a 417": what the client
	// demands and nobody here knows must not pass for granted.
	if http11 && saw&(sawExpect<<16) != 0 {
		return errExpect
	}
	r.Expect100 = http11 && saw&sawExpect != 0 && (r.Chunked || r.ContentLength > 0)
	// RFC 9110 7.8: "A server that receives an Upgrade header field in an
	// HTTP/1.0 request MUST ignore that Upgrade field."
	r.Upgrade = http11 && saw&sawUpgrade != 0 && saw&optionUpgrade != 0
	r.WebSocket = r.Upgrade && saw&sawWebSocket != 0 && string(r.Method) == "GET"
	return nil
}

// nameError says why a field name cannot end before the byte c.
func nameError(c byte, empty bool) *Error {
	switch {
	case c == ' ' || c == '\t':
		if empty {
			return errFieldStart
		}
		return errFieldSpace
	case c == '\r' || c == '\n':
		if empty {
			return errLineEnd
		}
	}
	return errFieldName
}

// valueError says why a field value cannot end with the byte c.
func valueError(c byte) *Error {
	if c == '\r' || c == '\n' {
		return errLineEnd
	}
	return errFieldValue
}

// valueEnd returns the index of the first byte of b, from i on, that cannot be
// in a field value, or len(b).
//
// RFC 9110 5.5: "field-vchar = VCHAR / obs-text", and between them SP and HTAB.
// "Field values containing CR, LF, or NUL characters are invalid and dangerous".
func valueEnd(b []byte, i int) int {
	const ones = 0x0101010101010101
	for {
		// Eight bytes at a time. In each, the sign bit of m says: below 0x20,
		// or 0x7f. A borrow can spoil only what lies above a byte that has been
		// found, so the lowest one is right.
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			m := ((x - 0x20*ones) | ((x ^ 0x7f*ones) - ones)) &^ x & (0x80 * ones)
			if m != 0 {
				i += bits.TrailingZeros64(m) >> 3
				goto found
			}
			i += 8
		}
		for i < len(b) && class[b[i]]&value != 0 {
			i++
		}
		if i == len(b) {
			return i
		}
	found:
		if b[i] != '\t' {
			return i
		}
		i++
	}
}

// parseLength parses the value of Content-Length.
//
// RFC 9112 6.3: "If a message is received without Transfer-Encoding and with an
// invalid Content-Length header field, then the message framing is invalid and
// the recipient MUST treat it as an unrecoverable error". RFC 9110 8.6 says of a
// list of equal values that a recipient "MAY either reject the message as
// invalid or replace that invalid field value"; this one refuses it.
func parseLength(b []byte) (int64, *Error) {
	if len(b) == 0 {
		return 0, errLength
	}
	n := int64(0)
	for _, c := range b {
		c -= '0'
		if c > 9 {
			return 0, errLength
		}
		if n > (1<<63-1-9)/10 {
			return 0, errLengthLarge
		}
		n = n*10 + int64(c)
	}
	return n, nil
}

// codingError says what is wrong with the value of Transfer-Encoding, nil if
// nothing.
func codingError(b []byte) *Error {
	if equalFold(b, "chunked") {
		return nil
	}
	// RFC 9112 6.3: "If a Transfer-Encoding header field is present in a request
	// and the chunked transfer coding is not the final encoding, the message
	// body length cannot be determined reliably; the server MUST respond with
	// the 400 (Bad Request) status code and then close the connection."
	// 6.1: "A server that receives a request message with a transfer coding it
	// does not understand SHOULD respond with 501 (Not Implemented)." "A sender
	// MUST NOT apply the chunked transfer coding more than once to a message
	// body".
	chunked := false
	for list := b; len(list) > 0; {
		var coding []byte
		coding, list = nextItem(list)
		if chunked || len(coding) == 0 {
			return errCoding
		}
		for _, c := range coding {
			if lower[c] == 0 {
				return errCoding
			}
		}
		chunked = equalFold(coding, "chunked")
	}
	if !chunked || b[len(b)-1] == ',' {
		return errCoding
	}
	return errCodingOther
}

// connectionOptions returns the options of a Connection field that matter here.
func connectionOptions(list []byte) (saw int) {
	for len(list) > 0 {
		var option []byte
		option, list = nextItem(list)
		switch len(option) {
		case 5:
			if equalFold(option, "close") {
				saw |= optionClose
			}
		case 7:
			if equalFold(option, "upgrade") {
				saw |= optionUpgrade
			}
		case 10:
			if equalFold(option, "keep-alive") {
				saw |= optionKeepAlive
			}
		}
	}
	return saw
}

// nextItem splits the first item off a comma-separated list.
func nextItem(list []byte) (item, rest []byte) {
	end := 0
	for end < len(list) && list[end] != ',' {
		end++
	}
	item = list[:end]
	if end < len(list) {
		rest = list[end+1:]
	}
	for len(item) > 0 && (item[0] == ' ' || item[0] == '\t') {
		item = item[1:]
	}
	for n := len(item); n > 0 && (item[n-1] == ' ' || item[n-1] == '\t'); n-- {
		item = item[:n-1]
	}
	return item, rest
}
