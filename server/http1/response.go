package http1

import (
	"strconv"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// Continue is the whole interim response to Expect: 100-continue.
const Continue = "HTTP/1.1 100 Continue\r\n\r\n"

// LastChunk ends a chunked body; ChunkEnd ends each chunk before it.
const (
	ChunkEnd  = "\r\n"
	LastChunk = "0\r\n\r\n"
)

// A Response is what AppendHead needs to know.
type Response struct {
	Status  int           // 100 to 999; 500 is sent instead of anything else
	Headers []asgi.Header // of the application, in its spelling
	HTTP10  bool          // the request's version is HTTP/1.0
	Close   bool          // the connection ends after this response
	Head    bool          // the request's method is HEAD
	// BodyLength is the length of the whole body if it is known, -1 if not.
	// A Content-Length of the application comes before it.
	BodyLength int64
	Date       []byte // whole line, with its line end; left out if the application has its own
	Server     []byte // likewise
	Extra      []byte // further whole lines
}

// Framing is how the end of a response body is told.
type Framing uint8

const (
	None       Framing = iota // no body may follow
	Length                    // by Content-Length
	Chunked                   // by the last chunk
	UntilClose                // by the end of the connection
)

// Fields of an application that AppendHead looks at.
const (
	hasDate = 1 << iota
	hasServer
	hasLength
	hasUpgrade
)

// AppendHead appends the status line and the fields of a response to dst, with
// the empty line after them. It chooses the framing of the body: length is the
// number of bytes that must follow, 0 for None, -1 if it is not known before.
// close says that the connection must be closed after the response.
//
// Of the application's fields, those that belong to the connection and not to
// the response are left out: Transfer-Encoding, Connection (but close is
// honoured), Keep-Alive, Proxy-Connection; and a Content-Length that is not a
// number, comes again, or stands where none may.
func AppendHead(dst []byte, r *Response) (out []byte, framing Framing, length int64, close bool) {
	status := r.Status
	if status < 100 || status > 999 {
		status = 500
	}
	dst = appendStatusLine(dst, status)
	close = r.Close
	has := 0
	// RFC 9112 6.1: "A server MUST NOT send a Transfer-Encoding header field in
	// any response with a status code of 1xx (Informational) or 204 (No
	// Content)." RFC 9110 8.6 says the same of Content-Length. RFC 9110 15.3.6:
	// "a server MUST NOT generate content in a 205 response", and there
	// Content-Length: 0 is what says so.
	bare := status < 200 || status == 204 || status == 205
	for i := range r.Headers {
		h := &r.Headers[i]
		switch len(h.Name) {
		case 0:
			continue
		case 4:
			if equalFold(h.Name, "date") {
				has |= hasDate
			}
		case 6:
			if equalFold(h.Name, "server") {
				has |= hasServer
			}
		case 7:
			if equalFold(h.Name, "upgrade") {
				has |= hasUpgrade
			}
		case 10:
			if equalFold(h.Name, "connection") {
				close = close || connectionOptions(h.Value)&optionClose != 0
				continue
			}
			if equalFold(h.Name, "keep-alive") {
				continue
			}
		case 14:
			if equalFold(h.Name, "content-length") {
				n, e := parseLength(h.Value)
				if bare || e != nil || has&hasLength != 0 {
					continue
				}
				has |= hasLength
				length = n
			}
		case 16:
			if equalFold(h.Name, "proxy-connection") {
				continue
			}
		case 17:
			if equalFold(h.Name, "transfer-encoding") {
				continue
			}
		}
		dst = appendField(dst, h.Name, h.Value)
	}

	if has&hasLength == 0 && r.BodyLength >= 0 && !bare && status != 304 && (!r.Head || r.BodyLength > 0) {
		// An empty body of the answer to HEAD says nothing about GET's.
		dst = append(dst, "content-length: "...)
		dst = strconv.AppendInt(dst, r.BodyLength, 10)
		dst = append(dst, "\r\n"...)
		has |= hasLength
		length = r.BodyLength
	}
	switch {
	case status == 205:
		dst = append(dst, "content-length: 0\r\n"...)
		length = 0
	case bare || status == 304 || r.Head:
		// RFC 9110 9.3.2: "The HEAD method is identical to GET except that the
		// server MUST NOT send content in the response", and "MAY omit header
		// fields for which a value is determined only while generating the
		// content": so no transfer-encoding there, as other ASGI servers do.
		length = 0
	case has&hasLength != 0:
		framing = Length
	case r.HTTP10:
		// RFC 9112 6.1: "A server MUST NOT send a response containing
		// Transfer-Encoding unless the corresponding request indicates HTTP/1.1".
		framing, length, close = UntilClose, -1, true
	default:
		framing, length = Chunked, -1
		dst = append(dst, "transfer-encoding: chunked\r\n"...)
	}

	// RFC 9110 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection
	// option in the Connection header field".
	switch {
	case has&hasUpgrade != 0 && close:
		dst = append(dst, "connection: upgrade, close\r\n"...)
	case has&hasUpgrade != 0:
		dst = append(dst, "connection: upgrade\r\n"...)
	case status < 200:
	case close:
		dst = append(dst, "connection: close\r\n"...)
	case r.HTTP10:
		dst = append(dst, "connection: keep-alive\r\n"...)
	}
	if status >= 200 {
		if has&hasDate == 0 {
			dst = append(dst, r.Date...)
		}
		if has&hasServer == 0 {
			dst = append(dst, r.Server...)
		}
		dst = append(dst, r.Extra...)
	}
	return append(dst, "\r\n"...), framing, length, close
}

// appendField appends a field line. Should a control character have come this
// far, a space takes its place, for a line end would begin another field.
func appendField(dst, name, value []byte) []byte {
	start := len(dst)
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	for i := valueEnd(dst, start); i < len(dst); i = valueEnd(dst, i) {
		dst[i] = ' '
	}
	return append(dst, "\r\n"...)
}

// AppendChunkHeader appends the line that begins a chunk of n bytes, n > 0.
// ChunkEnd must follow the bytes.
func AppendChunkHeader(dst []byte, n int) []byte {
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, "\r\n"...)
}

// AppendError appends a whole response in plain text, after which the
// connection closes. reason is its body, the status's reason phrase if empty;
// date and server are whole lines.
func AppendError(dst []byte, status int, reason string, date, server []byte) []byte {
	if reason == "" {
		reason = Reason(status)
	}
	dst = appendStatusLine(dst, status)
	dst = append(dst, "content-type: text/plain; charset=utf-8\r\ncontent-length: "...)
	dst = strconv.AppendInt(dst, int64(len(reason)), 10)
	dst = append(dst, "\r\nconnection: close\r\n"...)
	dst = append(dst, date...)
	dst = append(dst, server...)
	dst = append(dst, "\r\n"...)
	return append(dst, reason...)
}

func appendStatusLine(dst []byte, status int) []byte {
	if i := status - 100; uint(i) < uint(len(statusLines)) && statusLines[i] != "" {
		return append(dst, statusLines[i]...)
	}
	// RFC 9112 4: "A server MUST send the space that separates the status-code
	// from the reason-phrase even when the reason-phrase is absent".
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	return append(dst, " \r\n"...)
}

// Reason returns the reason phrase of a registered status code, "" for others.
func Reason(status int) string {
	if i := status - 100; uint(i) < uint(len(statusLines)) && statusLines[i] != "" {
		return statusLines[i][len("HTTP/1.1 200 ") : len(statusLines[i])-2]
	}
	return ""
}

// statusLines holds the status lines of the registered codes, from 100 on.
var statusLines = func() (t [512]string) {
	for status, reason := range reasons {
		t[status-100] = "HTTP/1.1 " + strconv.Itoa(status) + " " + reason + "\r\n"
	}
	return
}()

// reasons is IANA's "HTTP Status Codes" registry, and 418, which no client
// takes for anything else.
var reasons = map[int]string{
	100: "Continue",
	101: "Switching Protocols",
	102: "Processing",
	103: "Early Hints",
	104: "Upload Resumption Supported",
	200: "OK",
	201: "Created",
	202: "Accepted",
	203: "Non-Authoritative Information",
	204: "No Content",
	205: "Reset Content",
	206: "Partial Content",
	207: "Multi-Status",
	208: "Already Reported",
	226: "IM Used",
	300: "Multiple Choices",
	301: "Moved Permanently",
	302: "Found",
	303: "See Other",
	304: "Not Modified",
	305: "Use Proxy",
	307: "Temporary Redirect",
	308: "Permanent Redirect",
	400: "Bad Request",
	401: "Unauthorized",
	402: "Payment Required",
	403: "Forbidden",
	404: "Not Found",
	405: "Method Not Allowed",
	406: "Not Acceptable",
	407: "Proxy Authentication Required",
	408: "Request Timeout",
	409: "Conflict",
	410: "Gone",
	411: "Length Required",
	412: "Precondition Failed",
	413: "Content Too Large",
	414: "URI Too Long",
	415: "Unsupported Media Type",
	416: "Range Not Satisfiable",
	417: "Expectation Failed",
	418: "I'm a Teapot",
	421: "Misdirected Request",
	422: "Unprocessable Content",
	423: "Locked",
	424: "Failed Dependency",
	425: "Too Early",
	426: "Upgrade Required",
	428: "Precondition Required",
	429: "Too Many Requests",
	431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons",
	500: "Internal Server Error",
	501: "Not Implemented",
	502: "Bad Gateway",
	503: "Service Unavailable",
	504: "Gateway Timeout",
	505: "HTTP Version Not Supported",
	506: "Variant Also Negotiates",
	507: "Insufficient Storage",
	508: "Loop Detected",
	510: "Not Extended",
	511: "Network Authentication Required",
}
