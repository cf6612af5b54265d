package http1

import (
	"strings"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi"
)

const shortRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n"

const browserRequest = "GET /static/app.js?v=20251124 HTTP/1.1\r\n" +
	"Host: www.example.com\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n" +
	"Accept-Language: en-US,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\n" +
	"Referer: https://www.example.com/\r\n" +
	"Connection: keep-alive\r\n" +
	"Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n" +
	"Upgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\n" +
	"Sec-Fetch-Mode: navigate\r\n" +
	"Sec-Fetch-Site: same-origin\r\n" +
	"\r\n"

func benchmarkParse(b *testing.B, head string) {
	buf := make([]byte, len(head))
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		copy(buf, head)
		if n, err := r.Parse(buf, Limits{}); n != len(head) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkParseShort(b *testing.B)   { benchmarkParse(b, shortRequest) }
func BenchmarkParseBrowser(b *testing.B) { benchmarkParse(b, browserRequest) }

func BenchmarkDecodeChunked(b *testing.B) {
	in := []byte(strings.Repeat("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 64) + "0\r\n\r\n")
	r := Request{Chunked: true, ContentLength: -1}
	var body Body
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(&r)
		for rest := in; !body.Done(); {
			_, n, err := body.Decode(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
	}
}

var (
	dateLine   = []byte("date: Mon, 24 Nov 2025 16:00:00 GMT\r\n")
	serverLine = []byte("server: goasgi\r\n")
)

func typicalResponse() *Response {
	return &Response{
		Status: 200,
		Headers: []asgi.Header{
			{Name: []byte("content-type"), Value: []byte("application/json")},
			{Name: []byte("content-length"), Value: []byte("27")},
		},
		BodyLength: 27,
		Date:       dateLine,
		Server:     serverLine,
	}
}

func BenchmarkAppendHead(b *testing.B) {
	r := typicalResponse()
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out, _, _, _ = AppendHead(out[:0], r)
	}
}
