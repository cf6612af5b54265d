package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// parse parses a head in a buffer of its own.
func parse(head string) (*Request, int, error) {
	r := new(Request)
	n, err := r.Parse([]byte(head), Limits{})
	return r, n, err
}

// describe renders all that a Request says.
func describe(r *Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q path=%q query=%q authority=%q v%d\n", r.Method, r.RawPath, r.Path, r.Query, r.Authority, r.Version)
	for _, h := range r.Headers {
		fmt.Fprintf(&b, "%q: %q (%d)\n", h.Name, h.Value, h.Known)
	}
	fmt.Fprintf(&b, "keepalive=%t length=%d chunked=%t expect=%t upgrade=%t websocket=%t host=%d",
		r.KeepAlive, r.ContentLength, r.Chunked, r.Expect100, r.Upgrade, r.WebSocket, r.HostIndex)
	return b.String()
}

// A rule is a sentence of a specification with what it makes of some heads.
type rule struct {
	says   string
	status int      // of the refusal; 0: accepted
	heads  []string // each whole, or a head of which already the start decides
}

const (
	get  = "GET / HTTP/1.1\r\nHost: x\r\n"
	post = "POST / HTTP/1.1\r\nHost: x\r\n"
)

var rules = []rule{
	// The request line.
	{`RFC 9112 3: "request-line = method SP request-target SP HTTP-version"`, 400, []string{
		"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /  HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
		" GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\tHTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\t\r\nHost: x\r\n\r\n",
		"GET /\x0bHTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET \r\nHost: x\r\n\r\n",
		"GET\r\n\r\n",
		"/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"garbage\r\n\r\n",
		"\x00\r\n\r\n",
	}},
	{`RFC 9110 9.1: "method = token"`, 400, []string{
		"G(T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"G\x00T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"G:T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"G\xc3\xa9T / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\"GET\" / HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 9.1: "The method token is case-sensitive"; additional methods may be defined`, 0, []string{
		"get / HTTP/1.1\r\nHost: x\r\n\r\n",
		"M-SEARCH / HTTP/1.1\r\nHost: x\r\n\r\n",
		"UPDATEREDIRECTREF / HTTP/1.1\r\nHost: x\r\n\r\n",
		"!#$%&'*+-.^_`|~09 / HTTP/1.1\r\nHost: x\r\n\r\n",
		"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9112 3: "A server that receives a method longer than any that it implements SHOULD respond with a 501 (Not Implemented) status code."`, 501, []string{
		strings.Repeat("A", 33) + " / HTTP/1.1\r\nHost: x\r\n\r\n",
		strings.Repeat("A", 4000),
	}},
	{`RFC 9112 3.2: "No whitespace is allowed in the request-target", and no control character`, 400, []string{
		"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\x1f HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /?\x01 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\rHTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /\nHTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 7.1: "the target URI excludes the reference's fragment component, if any"`, 400, []string{
		"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /?a#b HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET # HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9112 3.2: "request-target = origin-form / absolute-form / authority-form / asterisk-form"`, 400, []string{
		"GET a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET ?a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http:/a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http:a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET \\a HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9112 3.2.4: "The asterisk-form of request-target is only used for a server-wide OPTIONS request"`, 400, []string{
		"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS ** HTTP/1.1\r\nHost: x\r\n\r\n",
		"OPTIONS *?a HTTP/1.1\r\nHost: x\r\n\r\n",
		"options * HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 4.2.1: "A recipient that processes such a URI reference [with an empty host] MUST reject it as invalid."`, 400, []string{
		"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://:80/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET https://?a HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 4.2.4: "a recipient SHOULD parse for userinfo and treat its presence as an error"`, 400, []string{
		"GET http://user@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://user:secret@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 9.3.6: "A server MUST reject a CONNECT request that targets an empty or invalid port number"`, 400, []string{
		"CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x: HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT :80 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:65536 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:8o HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 9.1: "An origin server that receives a request method that is unrecognized or not implemented SHOULD respond with the 501"`, 501, []string{
		"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
		"CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	}},
	{`RFC 9112 2.3: "HTTP-version = HTTP-name "/" DIGIT "." DIGIT"; HTTP/0.9 has none`, 400, []string{
		"GET /\r\n",
		"GET / http/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
		"GET / HTTP/11.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1x\r\nHost: x\r\n\r\n",
		"GET / HTTP /1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/0.9\r\nHost: x\r\n\r\n",
		"GET / HTTP/+1.1\r\nHost: x\r\n\r\n",
		"GET / ICY/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTPS/1.1\r\nHost: x\r\n\r\n",
		"GET / \r\nHost: x\r\n\r\n",
	}},
	{`RFC 9110 15.6.6: "the server does not support, or refuses to support, the major version of HTTP that was used"`, 505, []string{
		"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
		"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
		"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}},
	{`RFC 9110 2.5: "A recipient that receives a message with a major version number that it implements and a minor version number higher than what it implements SHOULD process the message as if it were in the highest minor version"`, 0, []string{
		"GET / HTTP/1.2\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.9\r\nHost: x\r\n\r\n",
	}},
	{`RFC 9112 2.2: "a server [...] SHOULD ignore at least one empty line (CRLF) received prior to the request-line"`, 0, []string{
		"\r\n" + get + "\r\n",
		"\r\n\r\n\r\n\r\n" + get + "\r\n",
	}},
	{"and no more than a few; nor what merely looks like an empty line", 400, []string{
		"\r\n\r\n\r\n\r\n\r\n" + get + "\r\n",
		"\n" + get + "\r\n",
		"\r" + get + "\r\n",
		"\r\r\n" + get + "\r\n",
		" \r\n" + get + "\r\n",
	}},
	{"RFC 8446 5.1: a TLS handshake record is no request", 400, []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"\x16\x03\x03",
		"\x16",
	}},

	// Lines and fields.
	{`RFC 9112 2.2: "A recipient of such a bare CR MUST consider that element to be invalid or replace each bare CR with SP"`, 400, []string{
		"GET / HTTP/1.1\rHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\rHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\r\nHost: x\r\n\r\n",
		get + "A: b\rc\r\n\r\n",
		get + "A: b\r\rc\r\n\r\n",
		get + "A: b\r\r\n\r\n",
		get + "A\r: b\r\n\r\n",
		get + "A:\rb\r\n\r\n",
		get + "\rA: b\r\n\r\n",
		get + "\r\r\n",
		get + "\rX",
	}},
	{`RFC 9112 2.2: "a recipient MAY recognize a single LF as a line terminator"; this one does not, for not all do`, 400, []string{
		"GET / HTTP/1.1\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\n\n",
		get + "A: b\nB: c\r\n\r\n",
		get + "A: b\n",
		get + "A:\n",
		get + "A\n: b\r\n\r\n",
		get + "\n",
	}},
	{`RFC 9112 2.2: "A recipient that receives whitespace between the start-line and the first header field MUST either reject the message as invalid or [...]"`, 400, []string{
		"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
		"GET / HTTP/1.1\r\n\tHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\n \r\nHost: x\r\n\r\n",
	}},
	{`RFC 9112 5.2: "A server that receives an obs-fold in a request message that is not within a "message/http" container MUST either reject the message by sending a 400 (Bad Request) [...]"`, 400, []string{
		get + "A: b\r\n c\r\n\r\n",
		get + "A: b\r\n\tc\r\n\r\n",
		get + "A: b\r\n \r\n\r\n",
		get + "A:\r\n b\r\n\r\n",
		get + "Transfer-Encoding:\r\n chunked\r\n\r\n",
	}},
	{`RFC 9112 5.1: "A server MUST reject, with a response status code of 400 (Bad Request), any received request message that contains whitespace between a header field name and colon."`, 400, []string{
		get + "A : b\r\n\r\n",
		get + "A\t: b\r\n\r\n",
		get + "Content-Length : 5\r\n\r\nhello",
		get + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	}},
	{`RFC 9110 5.1: "field-name = token"`, 400, []string{
		get + ": b\r\n\r\n",
		get + "A b: c\r\n\r\n",
		get + "A(b): c\r\n\r\n",
		get + "A/b: c\r\n\r\n",
		get + "A\x00: b\r\n\r\n",
		get + "A\x7f: b\r\n\r\n",
		get + "A\xc3\xa9: b\r\n\r\n",
		get + "\"A\": b\r\n\r\n",
		get + "A\r\n\r\n",
		get + "A;b: c\r\n\r\n",
		get + "A[]: c\r\n\r\n",
	}},
	{`RFC 9110 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous [...] Field values containing other CTL characters are also invalid"`, 400, []string{
		get + "A: b\x00\r\n\r\n",
		get + "A: \x00\r\n\r\n",
		get + "A: b\x01c\r\n\r\n",
		get + "A: 0123456789\x1fabcdefghij\r\n\r\n",
		get + "A: 0123456789abcdefghij\x7f\r\n\r\n",
		get + "A: \x0b\r\n\r\n",
		get + "A:\x0cb\r\n\r\n",
		get + "A: b\x1b[0m\r\n\r\n",
	}},
	{`RFC 9110 5.5: "field-vchar = VCHAR / obs-text", "field-content = field-vchar [ 1*( SP / HTAB / field-vchar ) field-vchar ]"`, 0, []string{
		get + "A: b\tc\r\n\r\n",
		get + "A: 01234567\t89\t\tabcdefghijklm\r\n\r\n",
		get + "A: \xc3\xa9\xff\x80\r\n\r\n",
		get + "A:\r\n\r\n",
		get + "A: \t \r\n\r\n",
		get + "A:b:c\r\n\r\n",
		get + "!#$%&'*+-.^_`|~09: b\r\n\r\n",
	}},

	// Host.
	{`RFC 9112 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host header field`, 400, []string{
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.2\r\n\r\n",
		"GET http://x/ HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHostname: x\r\n\r\n",
	}},
	{`and to any request message that contains more than one Host header field line`, 400, []string{
		get + "Host: x\r\n\r\n",
		get + "host: y\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
	}},
	{`or a Host header field with an invalid field value."`, 400, []string{
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: user@x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: http://x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x?\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x#\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\\y\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: <x>\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \"x\"\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x%\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x%2\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x%zz\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:8o\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:-1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:99999999999999999999999\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:80:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: ::1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: []\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [x]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [:1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7::8]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::01.1.1.1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1%25lo]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8:9]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [12345::]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::256.1.1.1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1.1.1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [v1.x]\r\n\r\n",
	}},
	{`RFC 3986 3.2.2: "host = IP-literal / IPv4address / reg-name", "port = *DIGIT"`, 0, []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a_b.example.\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x%c3%A9\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::]:8000\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [fe80::1:2]:\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [1:2:3:4:5:6:7:8]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET http://example.org HTTP/1.1\r\nHost: x\r\n\r\n",
	}},

	// Message framing.
	{`RFC 9110 8.6: "Content-Length = 1*DIGIT"; RFC 9112 6.3: "If a message is received without Transfer-Encoding and with an invalid Content-Length header field, then the message framing is invalid [...] the server MUST respond with a 400 (Bad Request) status code and then close the connection"`, 400, []string{
		post + "Content-Length:\r\n\r\n",
		post + "Content-Length: +5\r\n\r\nhello",
		post + "Content-Length: -5\r\n\r\nhello",
		post + "Content-Length: 0x5\r\n\r\nhello",
		post + "Content-Length: 5.0\r\n\r\nhello",
		post + "Content-Length: 5 5\r\n\r\nhello",
		post + "Content-Length: 5_0\r\n\r\nhello",
		post + "Content-Length: \xd9\xa5\r\n\r\nhello",
		post + "Content-Length: five\r\n\r\nhello",
		post + "Content-Length: \"5\"\r\n\r\nhello",
		post + "Content-Length: 5;\r\n\r\nhello",
	}},
	{`RFC 9110 8.6: "Because Content-Length is used for message delimitation in HTTP/1.1, its field value can impact how the message is parsed", "a recipient MUST anticipate potentially large decimal numerals and prevent parsing errors due to integer conversion overflows"`, 400, []string{
		post + "Content-Length: 9223372036854775808\r\n\r\n",
		post + "Content-Length: 18446744073709551621\r\n\r\nhello",
		post + "Content-Length: 99999999999999999999999999999999\r\n\r\n",
	}},
	{`RFC 9110 8.6: "a recipient of a Content-Length header field value consisting of the same decimal value repeated as a comma-separated list [...] MAY either reject the message as invalid or replace that invalid field value"`, 400, []string{
		post + "Content-Length: 5, 5\r\n\r\nhello",
		post + "Content-Length: 5,\r\n\r\nhello",
		post + "Content-Length: 5, 6\r\n\r\nhello",
		post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		post + "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello",
		"POST / HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
	}},
	{"1*DIGIT has room for leading zeros", 0, []string{
		post + "Content-Length: 0\r\n\r\n",
		post + "Content-Length: 0005\r\n\r\n",
		post + "Content-Length: 00000000000000000000000000000000005\r\n\r\n",
		post + "Content-Length: \t 5 \t\r\n\r\n",
		post + "Content-Length: 9223372036854775799\r\n\r\n",
	}},
	{`RFC 9112 6.1: "A server MAY reject a request that contains both Content-Length and Transfer-Encoding"`, 400, []string{
		post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		post + "Transfer-Encoding: gzip, chunked\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
	}},
	{`RFC 9112 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat the message as if the framing is faulty, even if a Content-Length is present, and close the connection"`, 400, []string{
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n",
	}},
	{`RFC 9112 6.3: "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final encoding, [...] the server MUST respond with the 400 (Bad Request) status code and then close the connection."`, 400, []string{
		post + "Transfer-Encoding: gzip\r\n\r\n",
		post + "Transfer-Encoding: chunked, gzip\r\n\r\n",
		post + "Transfer-Encoding: identity\r\n\r\n",
		post + "Transfer-Encoding: chunked, identity\r\n\r\n",
		post + "Transfer-Encoding:\r\n\r\n",
		post + "Transfer-Encoding: ,\r\n\r\n",
		post + "Transfer-Encoding: chunked,\r\n\r\n",
		post + "Transfer-Encoding: ,chunked\r\n\r\n",
		post + "Transfer-Encoding: xchunked\r\n\r\n",
		post + "Transfer-Encoding: chunkedx\r\n\r\n",
		post + "Transfer-Encoding: \"chunked\"\r\n\r\n",
		post + "Transfer-Encoding: 'chunked'\r\n\r\n",
		post + "Transfer-Encoding: chun\xe2\x84\xaaed\r\n\r\n",
	}},
	{`RFC 9112 7.1: "The chunked coding does not define any parameters. Their presence SHOULD be treated as an error."`, 400, []string{
		post + "Transfer-Encoding: chunked;a=b\r\n\r\n",
		post + "Transfer-Encoding: chunked ; a\r\n\r\n",
	}},
	{`RFC 9112 6.1: "A sender MUST NOT apply the chunked transfer coding more than once to a message body"`, 400, []string{
		post + "Transfer-Encoding: chunked, chunked\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		post + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
	}},
	{`RFC 9112 6.1: "A server that receives a request message with a transfer coding it does not understand SHOULD respond with 501 (Not Implemented)."`, 501, []string{
		post + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		post + "Transfer-Encoding: identity,CHUNKED\r\n\r\n",
		post + "Transfer-Encoding: gzip\t ,\t chunked\r\n\r\n",
	}},
	{`RFC 9112 7: "All transfer-coding names are case-insensitive"`, 0, []string{
		post + "Transfer-Encoding: chunked\r\n\r\n",
		post + "TRANSFER-ENCODING: Chunked\r\n\r\n",
		post + "transfer-encoding:CHUNKED \r\n\r\n",
	}},

	// Others.
	{`RFC 9110 10.1.1: "A server that receives an Expect field value containing a member other than 100-continue MAY respond with a 417 (Expectation Failed) status code"`, 417, []string{
		post + "Expect: 200-ok\r\nContent-Length: 5\r\n\r\n",
		post + "Expect: 100-continue, x=y\r\nContent-Length: 5\r\n\r\n",
		post + "Expect:\r\n\r\n",
	}},
	{`"A server that receives a 100-continue expectation in an HTTP/1.0 request MUST ignore that expectation."`, 0, []string{
		"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
	}},
	{`RFC 6585 5: "It can be used both when the set of request header fields in total is too large, and when a single header field is at fault."`, 431, []string{
		get + strings.Repeat("A: b\r\n", 100) + "\r\n",
		get + strings.Repeat("A: b\r\n", 100),
		get + strings.Repeat("A", maxName+1) + ": b\r\n\r\n",
		get + strings.Repeat("A", maxName+1),
		get + "A: " + strings.Repeat("b", 64<<10),
		get + "A: " + strings.Repeat("b", 64<<10) + "\r\n\r\n",
	}},
	{"a hundred fields are allowed", 0, []string{get + strings.Repeat("A: b\r\n", 99) + "\r\n"}},
	{`RFC 9112 3: "A server that receives a request-target longer than any URI it wishes to parse MUST respond with a 414 (URI Too Long) status code"`, 414, []string{
		"GET /" + strings.Repeat("a", 64<<10),
		"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
	}},
}

func TestRules(t *testing.T) {
	for _, rule := range rules {
		for _, head := range rule.heads {
			r, n, err := parse(head)
			switch {
			case rule.status == 0 && (err != nil || n != len(head)):
				t.Errorf("%s\n%.200q: %d, %v", rule.says, head, n, err)
			case rule.status == 0:
			case err == nil:
				t.Errorf("%s\n%.200q was accepted: %s", rule.says, head, describe(r))
			case err.(*Error).Status != rule.status:
				t.Errorf("%s\n%.200q: %d (%v), want %d", rule.says, head, err.(*Error).Status, err, rule.status)
			case n != 0:
				t.Errorf("%.200q: n is %d beside an error", head, n)
			}
		}
	}
}

func TestTLSIsNamed(t *testing.T) {
	// The sentence must come whatever the first packet holds.
	for _, hello := range []string{"\x16", "\x16\x03", "\x16\x03\x01\x02\x00"} {
		if _, _, err := parse(hello); err != errTLS {
			t.Errorf("%q: %v", hello, err)
		}
	}
	if _, _, err := parse("\x16\x01"); err != errMethod {
		t.Errorf("no hello: %v", err)
	}
}

func TestRequests(t *testing.T) {
	tests := []struct{ head, want string }{
		{
			"GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\nUser-AGENT:  y z \t\r\nX-Y: 1\r\n\r\n",
			`GET "/a/b" path="" query="c=d&e" authority="" v1
"host": "x" (1)
"user-agent": "y z" (9)
"x-y": "1" (0)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"GET / HTTP/1.0\r\n\r\n",
			`GET "/" path="" query="" authority="" v0
keepalive=false length=-1 chunked=false expect=false upgrade=false websocket=false host=-1`,
		}, {
			"GET /?a?b/%41 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
			`GET "/" path="" query="a?b/%41" authority="" v0
"connection": "Keep-Alive" (2)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=-1`,
		}, {
			"POST /%41%zz%4z%c3%A9%2F%?%41 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: x\r\nExpect: 100-Continue\r\nConnection: foo,\t CLOSE\r\n\r\n",
			"POST \"/%41%zz%4z%c3%A9%2F%\" path=\"/A%zz%4z\u00e9/%\" query=\"%41\" authority=\"\" v1\n" +
				`"transfer-encoding": "chunked" (4)
"host": "x" (1)
"expect": "100-Continue" (5)
"connection": "foo,\t CLOSE" (2)
keepalive=false length=-1 chunked=true expect=true upgrade=false websocket=false host=1`,
		}, {
			// RFC 9112 3.2.2: "A server MUST accept the absolute-form in requests".
			"GET HTTP://[::1]:80/a%20b?c HTTP/1.1\r\nHost: y\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
			`GET "/a%20b" path="/a b" query="c" authority="[::1]:80" v1
"host": "y" (1)
"content-length": "0" (3)
"expect": "100-continue" (5)
keepalive=true length=0 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"GET https://x?c HTTP/1.1\r\nHost: x\r\n\r\n",
			`GET "/" path="" query="c" authority="x" v1
"host": "x" (1)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"OPTIONS http://x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
			`OPTIONS "*" path="" query="" authority="x:1" v1
"host": "x" (1)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
			`OPTIONS "*" path="" query="" authority="" v1
"host": "x" (1)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"GET //evil/ HTTP/1.1\r\nHost: x\r\n\r\n",
			`GET "//evil/" path="" query="" authority="" v1
"host": "x" (1)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"GET /\xc3\xa9\"<>|{}^`\\? HTTP/1.1\r\nHost: x\r\n\r\n",
			"GET \"/\u00e9\\\"<>|{}^`\\\\\" path=\"\" query=\"\" authority=\"\" v1\n" +
				`"host": "x" (1)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		}, {
			"GET /w HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: h2c, WebSocket\r\n\r\n",
			`GET "/w" path="" query="" authority="" v1
"host": "x" (1)
"connection": "keep-alive, Upgrade" (2)
"upgrade": "h2c, WebSocket" (6)
keepalive=true length=-1 chunked=false expect=false upgrade=true websocket=true host=0`,
		}, {
			"POST /w HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nConnection: x\r\nUpgrade: websocket\r\n\r\n",
			`POST "/w" path="" query="" authority="" v1
"host": "x" (1)
"connection": "Upgrade" (2)
"connection": "x" (2)
"upgrade": "websocket" (6)
keepalive=true length=-1 chunked=false expect=false upgrade=true websocket=false host=0`,
		}, {
			// RFC 9110 7.8: "A server that receives an Upgrade header field in an
			// HTTP/1.0 request MUST ignore that Upgrade field."
			"GET /w HTTP/1.0\r\nConnection: Upgrade, keep-alive, close\r\nUpgrade: websocket\r\n\r\n",
			`GET "/w" path="" query="" authority="" v0
"connection": "Upgrade, keep-alive, close" (2)
"upgrade": "websocket" (6)
keepalive=false length=-1 chunked=false expect=false upgrade=false websocket=false host=-1`,
		}, {
			"GET /w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
			`GET "/w" path="" query="" authority="" v1
"host": "x" (1)
"upgrade": "websocket" (6)
keepalive=true length=-1 chunked=false expect=false upgrade=false websocket=false host=0`,
		},
	}
	for _, test := range tests {
		r, n, err := parse(test.head + "GET /next")
		if err != nil || n != len(test.head) {
			t.Errorf("%q: %d, %v", test.head, n, err)
			continue
		}
		if got := describe(r); got != test.want {
			t.Errorf("%q:\n%s\nwant:\n%s", test.head, got, test.want)
		}
	}
}

// TestReuse parses into one Request what must leave nothing behind.
func TestReuse(t *testing.T) {
	var r Request
	for _, head := range []string{
		"POST http://y/%41?q HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
		"GET /w HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		get + "\r\n",
	} {
		if n, err := r.Parse([]byte(head), Limits{}); err != nil || n != len(head) {
			t.Fatalf("%q: %d, %v", head, n, err)
		}
		fresh, _, _ := parse(head)
		if got, want := describe(&r), describe(fresh); got != want {
			t.Errorf("%q:\n%s\nwant:\n%s", head, got, want)
		}
	}
}

// TestSplits gives heads at every length, as a slow client would.
func TestSplits(t *testing.T) {
	for _, rule := range rules {
		for _, head := range rule.heads {
			if len(head) > 2000 {
				continue
			}
			splits(t, []byte(head), Limits{})
		}
	}
	splits(t, []byte(browserRequest), Limits{})
	splits(t, []byte(shortRequest), Limits{})
}

// splits checks that Parse says the same of input whole and in parts: nothing
// of a start of it, or already the error.
func splits(t *testing.T, input []byte, lim Limits) {
	t.Helper()
	var whole, r Request
	n, err := whole.Parse(bytes.Clone(input), lim)
	buf := bytes.Clone(input) // lower-cased on the way, as in a loop
	searched, ended := 0, false
	for i := 0; i <= len(input); i++ {
		ni, ei := r.Parse(buf[:i:i], lim)
		if !ended {
			ended, searched = HeadEnd(buf[:i], searched)
		}
		switch {
		case ei != nil && err == nil:
			t.Fatalf("%.300q: %v after %d bytes, accepted as a whole", input, ei, i)
		case ei != nil && i < len(input):
			// The reason may be another: a limit is noticed before the fault
			// that lies beyond it is seen.
			continue
		case err == nil && n > 0 && i < n && ni != 0:
			t.Fatalf("%.300q: complete after %d of %d bytes", input, i, n)
		case err == nil && n > 0 && i >= n && (ni != n || !ended):
			t.Fatalf("%.300q: %d bytes after %d, want %d; end seen: %t", input, ni, i, n, ended)
		case err == nil && n > 0 && (i == n || i == len(input)) && describe(&r) != describe(&whole):
			t.Fatalf("%.300q after %d bytes:\n%s\nas a whole:\n%s", input, i, describe(&r), describe(&whole))
		}
	}
}

func TestHeadLimit(t *testing.T) {
	head := get + "A: " + strings.Repeat("b", 30) + "\r\n\r\n"
	for size := 1; size < len(head)+10; size++ {
		lim := Limits{Head: size}
		var r Request
		n, err := r.Parse([]byte(head), lim)
		if size >= len(head) {
			if n != len(head) || err != nil {
				t.Errorf("limit %d: %d, %v", size, n, err)
			}
			continue
		}
		want := 431
		if size < len("GET / HTTP/1.1\r\n") {
			want = 414
		}
		if err == nil || err.(*Error).Status != want {
			t.Errorf("limit %d: %v, want %d", size, err, want)
		}
		// A buffer as large as the limit must be enough to decide.
		if _, err := r.Parse([]byte(head)[:size], lim); err == nil {
			t.Errorf("limit %d: undecided with a full buffer", size)
		}
		splits(t, []byte(head), lim)
	}
}

func TestHeadEnd(t *testing.T) {
	for _, test := range []struct {
		buf   string
		from  int
		found bool
		next  int
	}{
		{"", 0, false, 0},
		{"GET / HTTP/1.1\r\n", 0, false, 16},
		{"GET / HTTP/1.1\r\n\r", 16, false, 17},
		{"GET / HTTP/1.1\r\n\r\n", 17, true, 17},
		{"GET / HTTP/1.1\n", 0, true, 14},
		{"a\r\nb\r\nc", 0, false, 7},
		{"\r\n", 0, false, 2},
		{"\n", 0, true, 0},
	} {
		if found, next := HeadEnd([]byte(test.buf), test.from); found != test.found || next != test.next {
			t.Errorf("%q from %d: %t, %d", test.buf, test.from, found, next)
		}
	}
}

// TestValueEnd puts every byte at every place of values around eight bytes.
func TestValueEnd(t *testing.T) {
	for size := 1; size <= 20; size++ {
		b := bytes.Repeat([]byte("v"), size)
		for at := range b {
			for c := range 256 {
				b[at] = byte(c)
				want := size
				if c < ' ' && c != '\t' || c == 0x7f {
					want = at
				}
				for from := 0; from <= at; from++ {
					if got := valueEnd(b, from); got != want {
						t.Fatalf("%q from %d: %d, want %d", b, from, got, want)
					}
				}
			}
			b[at] = 'v'
		}
	}
}

func TestNoAllocations(t *testing.T) {
	heads := [][]byte{
		[]byte(shortRequest),
		[]byte(browserRequest),
		[]byte("POST http://[::1]/%41?%41 HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"),
		[]byte("GET / HTTP/1.1\r\n\r\n"), // refused
		[]byte(post + "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	}
	var r Request
	if n := testing.AllocsPerRun(100, func() {
		for _, head := range heads {
			r.Parse(head, Limits{})
			HeadEnd(head, 0)
		}
	}); n != 0 {
		t.Errorf("Parse: %v allocations", n)
	}

	in := []byte("5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nX-Y: z\r\n\r\n")
	var body Body
	if n := testing.AllocsPerRun(100, func() {
		body.Reset(&Request{Chunked: true, ContentLength: -1})
		for rest := in; !body.Done(); {
			_, n, _ := body.Decode(rest)
			rest = rest[n:]
		}
		body.Reset(&Request{ContentLength: 5})
		body.Decode(in)
		body.Reset(&Request{Chunked: true, ContentLength: -1})
		body.Decode([]byte("x"))
	}); n != 0 {
		t.Errorf("Decode: %v allocations", n)
	}

	response := typicalResponse()
	out := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		out, _, _, _ = AppendHead(out[:0], response)
		out = AppendChunkHeader(out[:0], 12345)
		out = AppendError(out[:0], 400, errTLS.Reason, dateLine, serverLine)
	}); n != 0 {
		t.Errorf("AppendHead: %v allocations", n)
	}
}

func TestKnown(t *testing.T) {
	for k := 1; k < len(asgi.KnownNames); k++ {
		name := asgi.KnownNames[k]
		switch asgi.Known(k) {
		case asgi.Host, asgi.ContentLength, asgi.TransferEncoding, asgi.Expect:
			continue
		}
		r, n, err := parse(get + strings.ToUpper(name) + ": v\r\n\r\n")
		if n == 0 || err != nil || r.Headers[1].Known != asgi.Known(k) || string(r.Headers[1].Name) != name {
			t.Errorf("%s: %d, %v, %+v", name, n, err, r.Headers)
		}
	}
}
