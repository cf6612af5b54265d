package http1

import (
	"bytes"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// Limits bound a request head.
type Limits struct {
	Head   int // bytes of request line and fields with their line ends; default 64 KiB
	Fields int // number of field lines; default 100
}

const (
	defaultHead   = 64 << 10
	defaultFields = 100

	// maxMethod is far above the longest registered method (17 bytes).
	// RFC 9112 3: "A server that receives a method longer than any that it
	// implements SHOULD respond with a 501 (Not Implemented) status code."
	maxMethod = 32

	// maxEmptyLines is how many empty lines may come before a request line.
	// RFC 9112 2.2: "a server that is expecting to receive and parse a
	// request-line SHOULD ignore at least one empty line (CRLF) received prior
	// to the request-line."
	maxEmptyLines = 4
)

// An Error says why a request is refused. The connection must be closed after
// it has been answered.
type Error struct {
	Status int    // of the response: 400, 414, 417, 431, 501 or 505
	Reason string // a short sentence for the response's body; never echoes input
}

func (e *Error) Error() string { return "http1: " + e.Reason }

var (
	errTLS         = &Error{400, "this port speaks plain HTTP, but the client began a TLS handshake (use http:// instead of https://)"}
	errEmptyLines  = &Error{400, "too many empty lines before the request line"}
	errMethod      = &Error{400, "the method is not a token followed by one space"}
	errMethodLong  = &Error{501, "the method is longer than any that is implemented"}
	errTarget      = &Error{400, "the request target contains a character that is not allowed there"}
	errTargetForm  = &Error{400, "the request target has none of the forms that its method allows"}
	errTargetHost  = &Error{400, "the authority of the request target is not valid"}
	errFragment    = &Error{400, "the request target contains a fragment"}
	errVersion     = &Error{400, "the request line does not end with one space and an HTTP version"}
	errUnsupported = &Error{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"}
	errConnect     = &Error{501, "CONNECT is not implemented, this server is no proxy"}
	errTargetLong  = &Error{414, "the request target is too long"}
	errHeadLong    = &Error{431, "the request head is too long"}
)

// A Request is a parsed request head. The caller keeps it and parses one head
// after the other into it.
type Request struct {
	Method  []byte
	RawPath []byte // the target's path as it was sent; "*" of OPTIONS *
	Path    []byte // percent-decoded; nil if it equals RawPath
	Query   []byte // without the question mark

	// Authority is that of a target in absolute-form, nil with every other
	// form. RFC 9112 3.2.2: "the origin server MUST ignore the received Host
	// header field (if any) and instead use the host information of the
	// request-target." The field in Headers is left as it was sent; HostIndex
	// is where it stands, so that a caller can replace its value.
	Authority []byte
	HostIndex int // of the Host field in Headers; -1: none

	Version       asgi.Version  // HTTP10, or HTTP11 for every HTTP/1.x with x > 0
	Headers       []asgi.Header // in the order of the request, Known is set
	KeepAlive     bool          // what the version and Connection say
	ContentLength int64         // -1: no Content-Length
	Chunked       bool
	Expect100     bool // HTTP/1.1, Expect: 100-continue, and a body is to come
	Upgrade       bool // HTTP/1.1, Upgrade is there and Connection names it
	WebSocket     bool // Upgrade, to websocket, of a GET

	path []byte // memory of Path
}

// Parse parses the request head at the start of buf. It returns the number of
// bytes that the head takes, or 0 if it is not complete yet and nothing is
// wrong so far. The error is always a *[Error], and then n is 0.
//
// A caller that got 0 calls again with more bytes at the end of the same
// buffer, or of a copy of it. Parse begins at the start again; [HeadEnd] tells
// cheaply whether it is time to.
func (r *Request) Parse(buf []byte, lim Limits) (n int, err error) {
	if lim.Head <= 0 {
		lim.Head = defaultHead
	}
	if lim.Fields <= 0 {
		lim.Fields = defaultFields
	}
	line, e := r.parseLine(buf)
	if e != nil {
		return 0, e
	}
	if line == 0 {
		if len(buf) >= lim.Head {
			// RFC 9112 3: "A server that receives a request-target longer than
			// any URI it wishes to parse MUST respond with a 414 (URI Too Long)
			// status code."
			return 0, errTargetLong
		}
		return 0, nil
	}
	if line > lim.Head {
		return 0, errTargetLong
	}
	n, e = r.parseFields(buf, line, lim.Fields)
	if e != nil {
		return 0, e
	}
	if n > lim.Head || n == 0 && len(buf) >= lim.Head {
		return 0, errHeadLong
	}
	return n, nil
}

// HeadEnd looks for the end of a head in buf from index from on. It returns
// true if Parse should be called: there is an empty line, or a line that is at
// fault. If not, next is where to go on when more bytes have come. It spares a
// connection whose head comes byte by byte the work of parsing it as often.
func HeadEnd(buf []byte, from int) (found bool, next int) {
	for {
		i := bytes.IndexByte(buf[from:], '\n')
		if i < 0 {
			return false, len(buf)
		}
		i += from
		if i == 0 || buf[i-1] != '\r' || i >= 2 && buf[i-2] == '\n' {
			return true, i
		}
		from = i + 1
	}
}

// parseLine parses the request line and returns where the first field begins,
// or 0 if the line is not complete.
func (r *Request) parseLine(buf []byte) (int, *Error) {
	i := 0
	for i < len(buf) && buf[i] == '\r' {
		if i == 2*maxEmptyLines {
			return 0, errEmptyLines
		}
		if i+1 == len(buf) {
			return 0, nil
		}
		if buf[i+1] != '\n' {
			return 0, errMethod
		}
		i += 2
	}
	start := i
	for i < len(buf) && lower[buf[i]] != 0 {
		i++
	}
	if i-start > maxMethod {
		return 0, errMethodLong
	}
	if i == len(buf) {
		return 0, nil
	}
	if i == start || buf[i] != ' ' {
		return 0, firstByte(buf[start:], i-start)
	}
	r.Method = buf[start:i:i]

	i++
	start = i
	query, percent := -1, false
target:
	for ; i < len(buf); i++ {
		switch class[buf[i]] & targetMask {
		case targetPlain:
		case targetQuery:
			if query < 0 {
				query = i
			}
		case targetPercent:
			percent = percent || query < 0
		default:
			break target
		}
	}
	if i == len(buf) {
		return 0, nil
	}
	if buf[i] != ' ' || i == start {
		switch buf[i] {
		case '\r', '\n': // HTTP/0.9, or no version
			return 0, errVersion
		case '#':
			return 0, errFragment
		}
		return 0, errTarget
	}

	line := 0
	if v := buf[i+1:]; len(v) >= 10 && string(v[:10]) == "HTTP/1.1\r\n" {
		r.Version = asgi.HTTP11
		line = i + 11
	} else {
		version, n, e := parseVersion(v)
		if n == 0 || e != nil {
			return 0, e
		}
		r.Version = version
		line = i + 1 + n
	}

	r.Authority = nil
	r.Query = nil
	path := buf[start:i:i]
	if query >= 0 {
		r.Query = buf[query+1 : i : i]
		path = buf[start:query:query]
	}
	if path = r.targetForm(path, query >= 0); path == nil {
		return 0, r.targetError(buf[start:i])
	}
	r.RawPath = path
	r.Path = nil
	if percent {
		r.decodePath()
	}
	return line, nil
}

// firstByte says what is wrong with a line that does not begin with a method
// and a space; the byte at index stop is the first that is not in a token.
func firstByte(line []byte, stop int) *Error {
	// A TLS record begins with its type, 22 for a handshake, and the version
	// 3.x. A client that speaks TLS sends more than one byte at once.
	if stop == 0 && line[0] == 0x16 && (len(line) == 1 || line[1] == 3) {
		return errTLS
	}
	return errMethod
}

// parseVersion parses an HTTP version and the line end after it, n bytes in
// all. n is 0 if it is not complete.
//
// RFC 9112 2.3: "HTTP-version = HTTP-name "/" DIGIT "." DIGIT", "HTTP-version
// is case-sensitive."
func parseVersion(b []byte) (version asgi.Version, n int, e *Error) {
	const pattern = "HTTP/0.0\r\n"
	for i := 0; i < len(pattern); i++ {
		if i == len(b) {
			return 0, 0, nil
		}
		if pattern[i] == '0' {
			if b[i] < '0' || b[i] > '9' {
				return 0, 0, errVersion
			}
		} else if b[i] != pattern[i] {
			return 0, 0, errVersion
		}
	}
	switch {
	case b[5] == '0':
		return 0, 0, errVersion
	case b[5] != '1':
		return 0, 0, errUnsupported
	case b[7] == '0':
		return asgi.HTTP10, len(pattern), nil
	}
	// RFC 9110 2.5: "A recipient that receives a message with a major version
	// number that it implements and a minor version number higher than what it
	// implements SHOULD process the message as if it were in the highest minor
	// version within that major version to which the recipient is conformant."
	return asgi.HTTP11, len(pattern), nil
}

// targetForm returns the path of a target whose part before the query is t, or
// nil if the target is to be refused; targetError then knows why.
func (r *Request) targetForm(t []byte, query bool) []byte {
	if len(t) == 0 || string(r.Method) == "CONNECT" {
		return nil
	}
	if t[0] == '/' {
		return t
	}
	if t[0] == '*' {
		// RFC 9112 3.2.4: "The asterisk-form of request-target is only used for
		// a server-wide OPTIONS request".
		if len(t) == 1 && !query && string(r.Method) == "OPTIONS" {
			return t
		}
		return nil
	}

	// RFC 9112 3.2.2: "A server MUST accept the absolute-form in requests even
	// though most HTTP/1.1 clients will only send the absolute-form to a proxy."
	rest := t
	switch {
	case hasPrefixFold(t, "http://"):
		rest = t[7:]
	case hasPrefixFold(t, "https://"):
		rest = t[8:]
	default:
		return nil
	}
	path := bytes.IndexByte(rest, '/')
	if path < 0 {
		path = len(rest)
	}
	// RFC 9110 4.2.1: "A sender MUST NOT generate an "http" URI with an empty
	// host identifier. A recipient that processes such a URI reference MUST
	// reject it as invalid." 4.2.4: "a recipient SHOULD parse for userinfo and
	// treat its presence as an error". A host with userinfo is not valid.
	if path == 0 || rest[0] == ':' || !validHost(rest[:path]) {
		return nil
	}
	r.Authority = rest[:path:path]
	if path < len(rest) {
		return rest[path:]
	}
	// RFC 9112 3.2.4: "If a proxy receives an OPTIONS request with an
	// absolute-form of request-target in which the URI has an empty path and no
	// query component, then the last proxy on the request chain MUST send a
	// request-target of "*"". RFC 9112 3.2.1: "If the target URI's path
	// component is empty, the client MUST send "/" as the path".
	if string(r.Method) == "OPTIONS" && !query {
		return asterisk
	}
	return slash
}

var (
	slash    = []byte("/")
	asterisk = []byte("*")
)

// targetError says why targetForm refused a target.
func (r *Request) targetError(target []byte) *Error {
	if string(r.Method) == "CONNECT" {
		// RFC 9110 9.3.6: "A server MUST reject a CONNECT request that targets
		// an empty or invalid port number, typically by responding with a 400
		// (Bad Request) status code." To what is well-formed applies 9.1: "An
		// origin server that receives a request method that is unrecognized or
		// not implemented SHOULD respond with the 501 (Not Implemented) status
		// code." ASGI has no way to hand a tunnel to an application.
		colon := bytes.LastIndexByte(target, ':')
		if colon <= 0 || colon == len(target)-1 || !validHost(target) {
			return errTargetForm
		}
		return errConnect
	}
	if hasPrefixFold(target, "http://") || hasPrefixFold(target, "https://") {
		return errTargetHost
	}
	return errTargetForm
}

// decodePath sets Path to the percent-decoded RawPath, unless they are equal.
// As Python's urllib.parse.unquote, which ASGI servers use, it leaves a percent
// sign that two hexadecimal digits do not follow as it is.
func (r *Request) decodePath() {
	raw := r.RawPath
	path := r.path[:0]
	decoded := false
	for {
		i := bytes.IndexByte(raw, '%')
		if i < 0 {
			break
		}
		path = append(path, raw[:i]...)
		if i+2 < len(raw) {
			if hi, lo := hexValue[raw[i+1]], hexValue[raw[i+2]]; hi < 16 && lo < 16 {
				path = append(path, hi<<4|lo)
				raw = raw[i+3:]
				decoded = true
				continue
			}
		}
		path = append(path, '%')
		raw = raw[i+1:]
	}
	r.path = append(path, raw...)
	if decoded {
		r.Path = r.path
	}
}
