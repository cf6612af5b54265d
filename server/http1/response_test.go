package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// fields makes headers of "name: value" lines.
func fields(lines ...string) (headers []asgi.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		headers = append(headers, asgi.Header{Name: []byte(name), Value: []byte(value)})
	}
	return headers
}

func TestAppendHead(t *testing.T) {
	tests := []struct {
		says    string
		r       Response
		want    string
		framing Framing
		length  int64
		close   bool
	}{
		{"names and values as the application spelt them",
			Response{Status: 200, Headers: fields("Content-Type: a/b", "X-y:  z", "X-y: 2"), BodyLength: 5},
			"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-y:  z\r\nX-y: 2\r\ncontent-length: 5\r\n\r\n", Length, 5, false},
		{"an empty body has a length too",
			Response{Status: 404},
			"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Length, 0, false},
		{"the application's Content-Length comes first",
			Response{Status: 200, Headers: fields("Content-Length: 7"), BodyLength: 5},
			"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Length, 7, false},
		{`RFC 9112 6.2: "A sender MUST NOT send a Content-Length header field in any message that contains a Transfer-Encoding header field."`,
			Response{Status: 200, Headers: fields("transfer-encoding: chunked", "content-length: 7"), BodyLength: -1},
			"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n", Length, 7, false},
		{`ASGI: "Servers should [...] ignore Transfer-Encoding"`,
			Response{Status: 200, Headers: fields("Transfer-Encoding: gzip"), BodyLength: -1},
			"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", Chunked, -1, false},
		{"one Content-Length, and a number",
			Response{Status: 200, Headers: fields("content-length: x", "content-length: 3", "content-length: 4"), BodyLength: -1},
			"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", Length, 3, false},
		{`RFC 9112 6.1: "A server MUST NOT send a response containing Transfer-Encoding unless the corresponding request indicates HTTP/1.1 (or later minor revisions)."`,
			Response{Status: 200, HTTP10: true, BodyLength: -1},
			"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", UntilClose, -1, true},
		{"HTTP/1.0 kept alive",
			Response{Status: 200, HTTP10: true, BodyLength: 1},
			"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\n", Length, 1, false},
		{"HTTP/1.0 closed",
			Response{Status: 200, HTTP10: true, Close: true, BodyLength: 1},
			"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n", Length, 1, true},
		{`RFC 9112 9.6: "A server that sends a "close" connection option MUST initiate closure of the connection"`,
			Response{Status: 200, Headers: fields("Connection: x, Close"), BodyLength: 1},
			"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n", Length, 1, true},
		{"other options are not the application's",
			Response{Status: 200, Headers: fields("Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive"), BodyLength: 1},
			"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", Length, 1, false},
		{`RFC 9110 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option"`,
			Response{Status: 426, Headers: fields("Upgrade: websocket"), BodyLength: 0},
			"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\ncontent-length: 0\r\nconnection: upgrade\r\n\r\n", Length, 0, false},
		{"the same and closed",
			Response{Status: 426, Headers: fields("Upgrade: websocket"), Close: true},
			"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\ncontent-length: 0\r\nconnection: upgrade, close\r\n\r\n", Length, 0, true},

		{`RFC 9110 8.6: "A server MUST NOT send a Content-Length header field in any response with a status code of 1xx (Informational) or 204 (No Content)."`,
			Response{Status: 204, Headers: fields("content-length: 0", "transfer-encoding: chunked"), BodyLength: 0},
			"HTTP/1.1 204 No Content\r\n\r\n", None, 0, false},
		{"the same if the length is not known",
			Response{Status: 204, BodyLength: -1, HTTP10: true},
			"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n", None, 0, false},
		{"an interim response says nothing about connection, date and server",
			Response{Status: 103, Headers: fields("link: x", "content-length: 5"), BodyLength: 5, Close: true, Date: dateLine, Server: serverLine},
			"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", None, 0, true},
		{`RFC 9110 15.3.6: "a server MUST NOT generate content in a 205 response"`,
			Response{Status: 205, Headers: fields("content-length: 5"), BodyLength: 5},
			"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n", None, 0, false},
		{`RFC 9110 15.4.5: "A 304 response is terminated by the end of the header section; it cannot contain content or trailers." 8.6: its Content-Length is that of the 200 response`,
			Response{Status: 304, Headers: fields("content-length: 5", "etag: x"), BodyLength: 0},
			"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\netag: x\r\n\r\n", None, 0, false},
		{"and is not made up",
			Response{Status: 304, BodyLength: 0},
			"HTTP/1.1 304 Not Modified\r\n\r\n", None, 0, false},
		{`RFC 9110 9.3.2: "The server SHOULD send the same header fields in response to a HEAD request as it would have sent if the request method had been GET."`,
			Response{Status: 200, Head: true, Headers: fields("content-length: 5"), BodyLength: 0},
			"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", None, 0, false},
		{"a body that must not be sent has a length",
			Response{Status: 200, Head: true, BodyLength: 5},
			"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", None, 0, false},
		{"a body that the application left out has none",
			Response{Status: 200, Head: true, BodyLength: 0},
			"HTTP/1.1 200 OK\r\n\r\n", None, 0, false},
		{"nor has one whose length is not known, and nothing closes",
			Response{Status: 200, Head: true, HTTP10: true, BodyLength: -1},
			"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n", None, 0, false},

		{"date, server and further lines",
			Response{Status: 200, Date: dateLine, Server: serverLine, Extra: []byte("x-a: 1\r\nx-b: 2\r\n")},
			"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + string(dateLine) + string(serverLine) + "x-a: 1\r\nx-b: 2\r\n\r\n", Length, 0, false},
		{"not twice",
			Response{Status: 200, Headers: fields("DATE: x", "Server: y"), Date: dateLine, Server: serverLine},
			"HTTP/1.1 200 OK\r\nDATE: x\r\nServer: y\r\ncontent-length: 0\r\n\r\n", Length, 0, false},
		{`RFC 9112 4: "A server MUST send the space that separates the status-code from the reason-phrase even when the reason-phrase is absent"`,
			Response{Status: 299},
			"HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n", Length, 0, false},
		{"a status has three digits",
			Response{Status: 1000},
			"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n", Length, 0, false},
		{"the largest",
			Response{Status: 999},
			"HTTP/1.1 999 \r\ncontent-length: 0\r\n\r\n", Length, 0, false},
		{`RFC 9110 5.5: "Field values containing CR, LF, or NUL characters are invalid and dangerous"`,
			Response{Status: 200, Headers: fields("x: a\r\nset-cookie: b\x00c\td", "y\r\nz: 1", ": 1")},
			"HTTP/1.1 200 OK\r\nx: a  set-cookie: b c\td\r\ny  z: 1\r\ncontent-length: 0\r\n\r\n", Length, 0, false},
	}
	for _, test := range tests {
		out, framing, length, close := AppendHead([]byte("before"), &test.r)
		if got := strings.TrimPrefix(string(out), "before"); got != test.want || framing != test.framing || length != test.length || close != test.close {
			t.Errorf("%s\n%q, %d, %d, %t\nwant\n%q, %d, %d, %t", test.says, got, framing, length, close, test.want, test.framing, test.length, test.close)
		}
	}
}

// TestClientReads has net/http's client read every status in every framing.
func TestClientReads(t *testing.T) {
	const content = "hello, world"
	for status := 200; status < 1000; status++ {
		for _, r := range []Response{
			{BodyLength: int64(len(content))},
			{BodyLength: -1},
			{BodyLength: -1, HTTP10: true},
			{BodyLength: -1, Headers: fields("Content-Length: 12")},
			{BodyLength: int64(len(content)), Head: true},
			{BodyLength: -1, Head: true},
		} {
			r.Status = status
			out, framing, length, close := AppendHead(nil, &r)
			want := content
			switch framing {
			case None:
				want = ""
			case Length:
				if length != int64(len(content)) {
					t.Fatalf("%d: length %d", status, length)
				}
				out = append(out, content...)
			case Chunked:
				out = AppendChunkHeader(out, len(content))
				out = append(out, content+ChunkEnd+LastChunk...)
			case UntilClose:
				out = append(out, content...)
				if !close {
					t.Fatalf("%d: does not close", status)
				}
			}
			method := "GET"
			if r.Head {
				method = "HEAD"
			}
			in := bufio.NewReader(bytes.NewReader(out))
			response, err := http.ReadResponse(in, &http.Request{Method: method})
			if err != nil {
				t.Fatalf("%d %q: %v", status, out, err)
			}
			got, err := io.ReadAll(response.Body)
			if err != nil || string(got) != want || response.StatusCode != status || in.Buffered() > 0 {
				t.Fatalf("%d %q: %q, %v", status, out, got, err)
			}
			if response.Close != close {
				t.Errorf("%d %q: close %t", status, out, close)
			}
		}
	}
}

func TestReason(t *testing.T) {
	for status := -1; status < 1100; status++ {
		want := http.StatusText(status)
		switch status {
		// RFC 9110 renamed these; 306 is unused; 104 is newer.
		case 413:
			want = "Content Too Large"
		case 414:
			want = "URI Too Long"
		case 416:
			want = "Range Not Satisfiable"
		case 422:
			want = "Unprocessable Content"
		case 306:
			want = ""
		case 104:
			want = "Upload Resumption Supported"
		case 418:
			want = "I'm a Teapot"
		}
		if got := Reason(status); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
}

func TestAppendError(t *testing.T) {
	for _, test := range []struct {
		status       int
		reason, want string
	}{
		{400, "the Host field is missing", "the Host field is missing"},
		{503, "", "Service Unavailable"},
	} {
		out := AppendError(nil, test.status, test.reason, dateLine, serverLine)
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(out)), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || string(body) != test.want || response.StatusCode != test.status || !response.Close ||
			response.Header.Get("Date") == "" || response.Header.Get("Server") != "goasgi" ||
			response.ContentLength != int64(len(test.want)) {
			t.Errorf("%q: %v", out, err)
		}
	}
}

func TestAppendChunkHeader(t *testing.T) {
	for _, n := range []int{1, 9, 10, 15, 16, 255, 65536, 1<<31 - 1} {
		if got, want := string(AppendChunkHeader(nil, n)), strconv.FormatInt(int64(n), 16)+"\r\n"; got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}
