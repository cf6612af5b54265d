package http1

import "github.com/goasgi/goasgi/bridge/asgi"

const (
	// maxChunkLine bounds the size and the extensions of a chunk. RFC 9112
	// 7.1.1: "A server ought to limit the total length of chunk extensions
	// received in a request to an amount reasonable for the services provided".
	maxChunkLine = 256

	// maxExcess bounds, over a whole body, the bytes of framing beyond 16 for
	// each chunk and twice its data.
	maxExcess = 16 << 10

	// maxTrailers bounds the trailer section.
	maxTrailers = 8 << 10
)

var (
	errChunkSize    = &Error{400, "a chunk does not begin with its size in hexadecimal"}
	errChunkLarge   = &Error{400, "a chunk size is too large"}
	errChunkLine    = &Error{400, "the extensions of a chunk are too long"}
	errChunkExcess  = &Error{400, "the body is mostly chunk framing"}
	errChunkExt     = &Error{400, "the extensions of a chunk are malformed"}
	errChunkLineEnd = &Error{400, "the line of a chunk size does not end with CR LF"}
	errChunkEnd     = &Error{400, "CR LF is missing after the data of a chunk"}
	errTrailersLong = &Error{431, "the trailer section is too long"}
	errTrailerName  = &Error{400, "a trailer field must not be used for framing or routing"}
)

// bodyState is where in a body its decoder stands. Those from chunkSize on are
// of a chunked body, in the order of the grammar:
//
//	chunked-body   = *chunk last-chunk trailer-section CRLF
//	chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
//	last-chunk     = 1*("0") [ chunk-ext ] CRLF
//	chunk-ext      = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )
//	trailer-section = *( field-line CRLF )
type bodyState uint8

const (
	bodyDone bodyState = iota // nothing is left
	bodyFailed
	bodyLength    // data of a body with Content-Length
	chunkSize     // before or among the digits
	chunkSpace    // white space after digits or a value: a semicolon must follow
	extStart      // after a semicolon
	extName       // in the name of an extension
	extSpace      // white space after it
	extValue      // after the equals sign
	extToken      // in a value
	extQuoted     // in a quoted value
	extEscape     // after a backslash in it
	extEnd        // after it
	chunkSizeLF   // LF of the line of the size
	chunkData     // data
	chunkDataCR   // CR after the data
	chunkDataLF   // LF after the data
	trailerStart  // at the start of a trailer line
	trailerName   // in a name
	trailerValue  // after the colon
	trailerLineLF // LF of a trailer line
	trailerEndLF  // LF of the empty line, which ends the body
)

// A Body decodes the body of a request. It holds no data: its zero value is
// ready for a request without a body, and it may be copied.
type Body struct {
	state     bodyState
	remaining int64 // bytes still to come of the body (bodyLength), or of the chunk
	line      int   // bytes of the chunk's line so far
	excess    int64 // see maxExcess
	trailers  int   // bytes of the trailer section so far
	err       *Error

	name    [20]byte // start of the trailer's name; the longest that matters has 17
	nameLen int
}

// Reset makes b ready for the body of r.
func (b *Body) Reset(r *Request) {
	*b = Body{}
	switch {
	case r.Chunked:
		b.state = chunkSize
	case r.ContentLength > 0:
		b.state = bodyLength
		b.remaining = r.ContentLength
	}
}

// Done reports whether the whole body, its trailers included, was consumed.
func (b *Body) Done() bool { return b.state == bodyDone }

// Remaining returns how many bytes of data are still to come, -1 if only the
// coming chunks will tell.
func (b *Body) Remaining() int64 {
	switch b.state {
	case bodyDone, bodyLength:
		return b.remaining
	}
	return -1
}

// Decode consumes the first n bytes of in. part is the data among them, a piece
// of in, and may be empty. The caller goes on with in[n:] until n is 0 or the
// body is Done; n is 0 only if in is empty, the body is done, or err is set.
//
// The error is always a *[Error] and stays; a body that ends in an error was
// never complete, and what had come of it is not to be trusted.
func (b *Body) Decode(in []byte) (part []byte, n int, err error) {
	switch b.state {
	case bodyDone:
		return nil, 0, nil
	case bodyFailed:
		return nil, 0, b.err
	case bodyLength:
		n = len(in)
		if int64(n) >= b.remaining {
			n = int(b.remaining)
			b.state = bodyDone
		}
		b.remaining -= int64(n)
		return in[:n:n], n, nil
	}
	part, n, e := b.decodeChunked(in)
	if e != nil {
		b.state, b.err = bodyFailed, e
		return nil, 0, e
	}
	return part, n, nil
}

// decodeChunked consumes framing up to data, data, and framing up to the next.
func (b *Body) decodeChunked(in []byte) (part []byte, n int, e *Error) {
	i := 0
	for i < len(in) {
		c := in[i]
		switch b.state {
		case chunkSize:
			if h := hexValue[c]; h < 16 {
				if b.remaining >= 1<<56 {
					return nil, 0, errChunkLarge
				}
				b.remaining = b.remaining<<4 | int64(h)
			} else if b.line == 0 {
				return nil, 0, errChunkSize
			} else {
				switch c {
				case '\r':
					b.state = chunkSizeLF
				case ';':
					b.state = extStart
				case ' ', '\t':
					b.state = chunkSpace
				case '\n':
					return nil, 0, errChunkLineEnd
				default:
					return nil, 0, errChunkSize
				}
			}
			if b.line++; b.line > maxChunkLine {
				return nil, 0, errChunkLine
			}

		case chunkSpace, extStart, extName, extSpace, extValue, extToken, extQuoted, extEscape, extEnd:
			next := extension(b.state, c)
			if next == bodyFailed {
				if c == '\n' {
					return nil, 0, errChunkLineEnd
				}
				return nil, 0, errChunkExt
			}
			b.state = next
			if b.line++; b.line > maxChunkLine {
				return nil, 0, errChunkLine
			}

		case chunkSizeLF:
			if c != '\n' {
				return nil, 0, errChunkLineEnd
			}
			b.excess = max(0, b.excess+int64(b.line)+3-16-2*b.remaining)
			if b.excess > maxExcess {
				return nil, 0, errChunkExcess
			}
			b.line = 0
			b.state = chunkData
			if b.remaining == 0 {
				b.state = trailerStart
			}

		case chunkData:
			if part != nil {
				return part, i, nil
			}
			k := len(in) - i
			if int64(k) >= b.remaining {
				k = int(b.remaining)
				b.state = chunkDataCR
			}
			b.remaining -= int64(k)
			part = in[i : i+k : i+k]
			i += k
			continue

		case chunkDataCR:
			if c != '\r' {
				return nil, 0, errChunkEnd
			}
			b.state = chunkDataLF

		case chunkDataLF:
			if c != '\n' {
				return nil, 0, errChunkEnd
			}
			b.state = chunkSize

		default:
			if b.trailers++; b.trailers > maxTrailers {
				return nil, 0, errTrailersLong
			}
			if e := b.trailer(c); e != nil {
				return nil, 0, e
			}
			if b.state == bodyDone {
				return part, i + 1, nil
			}
		}
		i++
	}
	return part, i, nil
}

// extension returns the state after the byte c of a chunk extension, bodyFailed
// if it cannot stand there. What extensions say is ignored (RFC 9112 7.1.1: "A
// recipient MUST ignore unrecognized chunk extensions"), but where they end must
// be beyond doubt: some recipients look for it within quotes, some do not.
func extension(state bodyState, c byte) bodyState {
	space, token := c == ' ' || c == '\t', lower[c] != 0
	switch state {
	case chunkSpace:
		switch {
		case space:
			return chunkSpace
		case c == ';':
			return extStart
		}
	case extStart:
		switch {
		case space:
			return extStart
		case token:
			return extName
		}
	case extName:
		switch {
		case token:
			return extName
		case space:
			return extSpace
		case c == '=':
			return extValue
		case c == ';':
			return extStart
		case c == '\r':
			return chunkSizeLF
		}
	case extSpace:
		switch {
		case space:
			return extSpace
		case c == '=':
			return extValue
		case c == ';':
			return extStart
		}
	case extValue:
		switch {
		case space:
			return extValue
		case token:
			return extToken
		case c == '"':
			return extQuoted
		}
	case extToken, extEnd:
		switch {
		case token && state == extToken:
			return extToken
		case space:
			return chunkSpace
		case c == ';':
			return extStart
		case c == '\r':
			return chunkSizeLF
		}
	case extQuoted:
		switch {
		case c == '"':
			return extEnd
		case c == '\\':
			return extEscape
		case class[c]&value != 0:
			return extQuoted
		}
	case extEscape:
		if class[c]&value != 0 {
			return extQuoted
		}
	}
	return bodyFailed
}

// trailer takes one byte of the trailer section, whose fields are checked and
// dropped. RFC 9112 7.1.2: "A recipient MUST NOT merge a received trailer field
// into the header section unless [...]"; a scope has no other place for them.
func (b *Body) trailer(c byte) *Error {
	switch b.state {
	case trailerStart:
		if c == '\r' {
			b.state = trailerEndLF
			return nil
		}
		if lower[c] == 0 {
			return nameError(c, true)
		}
		b.state = trailerName
		b.name[0], b.nameLen = lower[c], 1

	case trailerName:
		if c == ':' {
			// RFC 9110 6.5.1: "Many fields cannot be processed outside the header
			// section because their evaluation is necessary prior to receiving
			// the content, such as those that describe message framing, routing,
			// authentication, request modifiers, response controls, or content
			// format." Those that would change where a message ends or where it
			// goes are nobody's mistake but an attack.
			if b.nameLen <= len(b.name) {
				if k := asgi.KnownName(b.name[:b.nameLen]); k != 0 && k <= asgi.Trailer {
					return errTrailerName
				}
			}
			b.state = trailerValue
			return nil
		}
		if lower[c] == 0 {
			return nameError(c, false)
		}
		if b.nameLen < len(b.name) {
			b.name[b.nameLen] = lower[c]
		}
		b.nameLen++

	case trailerValue:
		if c == '\r' {
			b.state = trailerLineLF
		} else if class[c]&value == 0 {
			return valueError(c)
		}

	case trailerLineLF:
		if c != '\n' {
			return errLineEnd
		}
		b.state = trailerStart

	case trailerEndLF:
		if c != '\n' {
			return errLineEnd
		}
		b.state = bodyDone
	}
	return nil
}
