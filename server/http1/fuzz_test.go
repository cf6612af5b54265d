package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// FuzzParse checks, for any bytes, that what Parse accepts has the form that it
// promises, and that it does not matter in what parts a head comes.
func FuzzParse(f *testing.F) {
	for _, rule := range rules {
		for _, head := range rule.heads {
			if len(head) < 2000 {
				f.Add([]byte(head))
			}
		}
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var r Request
		buf := bytes.Clone(input)
		n, err := r.Parse(buf, Limits{})
		if e, ok := err.(*Error); err != nil && (!ok || n != 0 || e.Status < 400 || e.Status > 599 || e.Reason == "") {
			t.Fatalf("%d, %#v", n, err)
		}
		if !bytes.EqualFold(buf, input) {
			t.Fatalf("more than the case of letters was changed: %q", buf)
		}
		if len(input) <= 300 { // it is quadratic
			splits(t, input, Limits{})
		}
		if n == 0 {
			return
		}
		checkRequest(t, &r)
		if !bytes.HasSuffix(input[:n], []byte("\r\n\r\n")) {
			t.Fatalf("the head does not end after %d bytes", n)
		}
		if found, _ := HeadEnd(input, 0); !found {
			t.Fatal("HeadEnd does not find the end of a head")
		}
	})
}

// checkRequest checks what holds of every accepted head.
func checkRequest(t *testing.T, r *Request) {
	t.Helper()
	if len(r.Method) == 0 || len(r.Method) > maxMethod || len(r.RawPath) == 0 {
		t.Fatalf("method %q, path %q", r.Method, r.RawPath)
	}
	for _, c := range append(append(bytes.Clone(r.RawPath), r.Query...), r.Authority...) {
		if c <= ' ' || c == 0x7f || c == '#' {
			t.Fatalf("target: %q %q %q", r.Authority, r.RawPath, r.Query)
		}
	}
	if bytes.IndexByte(r.RawPath, '?') >= 0 || r.RawPath[0] != '/' && string(r.RawPath) != "*" {
		t.Fatalf("path %q", r.RawPath)
	}
	if path := unquote(string(r.RawPath)); r.Path == nil && path != string(r.RawPath) || r.Path != nil && (path != string(r.Path) || bytes.Equal(r.Path, r.RawPath) && !strings.Contains(path, "%")) {
		t.Fatalf("path %q of %q, want %q", r.Path, r.RawPath, path)
	}
	if len(r.Headers) > defaultFields {
		t.Fatalf("%d fields", len(r.Headers))
	}
	count := map[asgi.Known]int{}
	for i, h := range r.Headers {
		if len(h.Name) == 0 || bytes.ContainsFunc(h.Name, func(c rune) bool {
			return c >= 'A' && c <= 'Z' || c > 0x7e || c <= ' ' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
		}) {
			t.Fatalf("name %q", h.Name)
		}
		for _, c := range h.Value {
			if c < ' ' && c != '\t' || c == 0x7f {
				t.Fatalf("value %q", h.Value)
			}
		}
		if len(bytes.Trim(h.Value, " \t")) != len(h.Value) {
			t.Fatalf("value %q", h.Value)
		}
		if h.Known != asgi.KnownName(h.Name) {
			t.Fatalf("%q is %d", h.Name, h.Known)
		}
		if h.Known == asgi.Host && i != r.HostIndex {
			t.Fatalf("Host at %d, not %d", i, r.HostIndex)
		}
		count[h.Known]++
	}
	if count[asgi.Host] > 1 || count[asgi.Host] == 0 && (r.Version == asgi.HTTP11 || r.HostIndex != -1) {
		t.Fatalf("%d Host fields, at %d", count[asgi.Host], r.HostIndex)
	}
	if count[asgi.ContentLength] > 1 || count[asgi.TransferEncoding] > 1 || count[asgi.ContentLength]+count[asgi.TransferEncoding] > 1 ||
		r.Chunked != (count[asgi.TransferEncoding] == 1) || (r.ContentLength >= 0) != (count[asgi.ContentLength] == 1) {
		t.Fatalf("framing: %s", describe(r))
	}
	if r.Version == asgi.HTTP10 && (r.Chunked || r.Upgrade || r.Expect100) || r.WebSocket && !r.Upgrade {
		t.Fatalf("version: %s", describe(r))
	}
}

// unquote is Python's urllib.parse.unquote_to_bytes, by its own method.
func unquote(s string) string {
	parts := strings.Split(s, "%")
	var b strings.Builder
	b.WriteString(parts[0])
	for _, part := range parts[1:] {
		var c byte
		if len(part) >= 2 && strings.Trim(part[:2], "0123456789abcdefABCDEF") == "" {
			fmt.Sscanf(part[:2], "%02x", &c)
			b.WriteByte(c)
			b.WriteString(part[2:])
		} else {
			b.WriteString("%" + part)
		}
	}
	return b.String()
}

// FuzzBody checks, for any bytes, that it does not matter in what parts a body
// comes. Bit i%64 of cuts says whether a part ends after byte i.
func FuzzBody(f *testing.F) {
	f.Add([]byte("5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\nGET"), int64(-1), uint64(0x5555555555555555))
	f.Add([]byte("a\r\n0123456789\r\n10 ;a\r\n0123456789abcdef\r\n0\r\n\r\n"), int64(-1), uint64(1<<20))
	f.Add([]byte("hello, world"), int64(5), uint64(6))
	f.Fuzz(func(t *testing.T, in []byte, length int64, cuts uint64) {
		r := Request{Chunked: length < 0, ContentLength: length}
		var a, b Body
		a.Reset(&r)
		b.Reset(&r)
		data, n, err := decode(&a, in, whole)
		cutData, m, cutErr := decode(&b, in, func(i int) bool { return cuts>>(i%64)&1 != 0 })
		if err != cutErr || err == nil && (n != m || !bytes.Equal(data, cutData) || a != b) || !bytes.HasPrefix(cutData, data) {
			t.Fatalf("%q, %d, %v; in parts: %q, %d, %v", data, n, err, cutData, m, cutErr)
		}
		if a.Done() && a.Remaining() != 0 {
			t.Fatalf("done with %d remaining", a.Remaining())
		}
		if !r.Chunked && (err != nil || int64(len(data)) != min(length, int64(len(in)))) {
			t.Fatalf("%d bytes of %d, %v", len(data), length, err)
		}
		if r.Chunked && len(data) > n {
			t.Fatalf("%d bytes of data out of %d", len(data), n)
		}
	})
}

// A message is a request as a recipient sees it.
type message struct {
	method, host, path, query string
	http10                    bool
	headers                   map[string][]string
	body                      []byte
	n                         int // bytes from the start of the input
}

// exceptions are the differences to net/http that are meant, beside that ours
// may refuse more. Each says of which requests that ours accepts net/http may
// think what it likes.
var exceptions = []struct {
	reason  string
	applies func(r *Request, target string, body []byte) bool
}{
	{
		"a percent sign without two digits is left as it is in a path, as by Python's servers; net/url refuses it",
		func(r *Request, target string, body []byte) bool {
			_, err := url.ParseRequestURI(target)
			return err != nil && bytes.IndexByte(r.RawPath, '%') >= 0
		},
	}, {
		"percent-encoding in the authority of a target, which RFC 3986 3.2.2 allows, is left as it is; net/url decodes it or refuses it",
		func(r *Request, target string, body []byte) bool { return bytes.IndexByte(r.Authority, '%') >= 0 },
	}, {
		"the Trailer field is a mere announcement (RFC 9110 6.6.2), and goes to the application as it is; net/http takes it out and refuses some of its values",
		func(r *Request, target string, body []byte) bool {
			for _, h := range r.Headers {
				if h.Known == asgi.Trailer {
					return true
				}
			}
			return false
		},
	}, {
		`RFC 9112 7.1.1: chunk-ext = *( BWS ";" [...] ): net/http does not parse white space before the semicolon`,
		func(r *Request, target string, body []byte) bool {
			return r.Chunked && (bytes.Contains(body, []byte(" ;")) || bytes.Contains(body, []byte("\t;")))
		},
	}, {
		"a trailer section may have 8 KiB; net/http allows what fits its 4 KiB buffer",
		func(r *Request, target string, body []byte) bool { return r.Chunked && len(body) >= 4<<10 },
	}, {
		"net/http derives Cache-Control from Pragma",
		func(r *Request, target string, body []byte) bool {
			for _, h := range r.Headers {
				if string(h.Name) == "pragma" && equalFold(h.Value, "no-cache") {
					return true
				}
			}
			return false
		},
	},
}

// readOurs reads the request at the start of input. It returns nil if it is
// refused (with an error) or incomplete.
func readOurs(input []byte) (*message, error, bool) {
	var r Request
	buf := bytes.Clone(input)
	n, err := r.Parse(buf, Limits{})
	if err != nil || n == 0 {
		return nil, err, false
	}
	m := &message{
		method:  string(r.Method),
		path:    string(r.RawPath),
		query:   string(r.Query),
		http10:  r.Version == asgi.HTTP10,
		headers: map[string][]string{},
	}
	if r.Path != nil {
		m.path = string(r.Path)
	}
	for _, h := range r.Headers {
		switch h.Known {
		case asgi.Host:
			m.host = string(h.Value)
		case asgi.TransferEncoding:
		default:
			m.headers[string(h.Name)] = append(m.headers[string(h.Name)], string(h.Value))
		}
	}
	if r.Authority != nil {
		m.host = string(r.Authority)
	}
	var body Body
	body.Reset(&r)
	data, k, err := decode(&body, buf[n:], whole)
	if err != nil || !body.Done() {
		return nil, err, false
	}
	m.body, m.n = data, n+k

	_, target, _ := strings.Cut(strings.TrimLeft(string(input), "\r\n"), " ")
	target, _, _ = strings.Cut(target, " ")
	excepted := false
	for _, e := range exceptions {
		excepted = excepted || e.applies(&r, target, input[n:n+k])
	}
	return m, nil, excepted
}

// readTheirs reads the request at the start of input with net/http.
func readTheirs(input []byte) (*message, error) {
	// net/http ignores no empty line; RFC 9112 2.2: "SHOULD ignore at least one".
	rest := bytes.TrimLeft(input, "\r\n")
	in := bytes.NewReader(rest)
	buffered := bufio.NewReader(in)
	r, err := http.ReadRequest(buffered)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m := &message{
		method:  r.Method,
		host:    r.Host,
		path:    r.URL.Path,
		query:   r.URL.RawQuery,
		http10:  !r.ProtoAtLeast(1, 1),
		headers: map[string][]string{},
		body:    body,
		n:       len(input) - in.Len() - buffered.Buffered(),
	}
	if m.path == "" {
		// A target in absolute-form without a path; RFC 9112 3.2.1 and 3.2.4.
		m.path = "/"
		if r.Method == "OPTIONS" && r.URL.RawQuery == "" && !r.URL.ForceQuery {
			m.path = "*"
		}
	}
	for name, values := range r.Header {
		m.headers[strings.ToLower(name)] = values
	}
	return m, nil
}

func (m *message) String() string {
	return fmt.Sprintf("%q host %q path %q query %q http10 %t %q body %q, %d bytes", m.method, m.host, m.path, m.query, m.http10, m.headers, m.body, m.n)
}

// FuzzAgainstNetHTTP takes net/http as a second opinion: for any bytes, both
// refuse, or ours refuses more, or both see the same requests. The exceptions
// stand in one table. net/http is not the judge: where the RFCs say otherwise,
// they are right.
func FuzzAgainstNetHTTP(f *testing.F) {
	for _, rule := range rules {
		for _, head := range rule.heads {
			if len(head) < 2000 {
				f.Add([]byte(head))
			}
		}
	}
	f.Add([]byte(browserRequest + shortRequest))
	f.Add([]byte(post + "Content-Length: 5\r\n\r\nhello" + shortRequest))
	f.Add([]byte(post + "Transfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n" + shortRequest))
	f.Fuzz(func(t *testing.T, input []byte) { compare(t, input) })
}

// compare compares what both make of the requests in input, and returns how
// many both see.
func compare(t *testing.T, input []byte) (seen int) {
	t.Helper()
	for len(input) > 0 {
		ours, err, excepted := readOurs(input)
		if err != nil {
			return seen // ours may refuse more, and then nothing follows
		}
		theirs, theirErr := readTheirs(input)
		if ours == nil {
			if theirErr == nil {
				t.Fatalf("%q\nis incomplete to ours, to net/http it is\n%v", input, theirs)
			}
			return seen
		}
		if !excepted {
			if theirErr != nil {
				t.Fatalf("%q\nis refused by net/http (%v), to ours it is\n%v", input, theirErr, ours)
			}
			if ours.String() != theirs.String() {
				t.Fatalf("%q\nis to ours\n%v\nto net/http\n%v", input, ours, theirs)
			}
			seen++
		}
		input = input[ours.n:]
	}
	return seen
}

// TestAgainstNetHTTP compares on requests put together at random from pieces
// that mean something, which random bytes rarely do.
func TestAgainstNetHTTP(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(pieces []string) string { return pieces[random.IntN(len(pieces))] }
	// Mostly the first piece, so that enough requests are right in all others.
	mostly := func(pieces ...string) string {
		if random.IntN(20) > 0 {
			return pieces[0]
		}
		return pick(pieces)
	}
	methods := []string{"GET", "POST", "OPTIONS", "HEAD", "get", "CONNECT", "PRI", "X-Y", "G T", ""}
	targets := []string{
		"/", "/a/b", "/a?b", "/%41%2f?%41", "/%zz", "/a%", "/?a?b", "/;a=b:c@d", "//h/p", "///", "/\xc3\xa9", "/\"<>{}|\\^`", "*", "*?a", "?a", "a",
		"http://h", "http://h/", "http://h/p?q", "http://h?q", "http://h:80/p", "http://h:/p", "HTTPS://[::1]:8/p%20q", "http://u@h/", "http:///p", "http://h%41/",
		"http://h%c3%a9/", "http://H.example/", "h:80", "ftp://h/", "/a#b", "/a b", "http:/a", "/..//./a", "http://h//a?b/c?", "/?", "http://h?", "/%00%0d%0a", "/%25", "http://a,b;c=d/", "http://[1::2", "http://h:x/",
	}
	names := []string{
		"Content-Length", "Transfer-Encoding", "Connection", "Host", "X-Y", "x-y", "Expect", "Upgrade", "Pragma", "Trailer", "Cookie", "A B", "", "Content-Length ",
		"content_length", "Date", "Accept", "!#$%&'*+-.^_`|~",
	}
	values := []string{
		"5", "0", "05", "5, 5", "+5", "", "chunked", "Chunked", "gzip, chunked", "chunked, gzip", "identity", "close", "keep-alive", "Upgrade, x", "h", "h:80",
		"100-continue", "a\tb", "\xff\x80", "\ta b ", "no-cache", "X", "a\x00b", "a\rb", "a\nb", "a\r\n b", "9223372036854775807", "99999999999999999999", "websocket", ",", "\"a\"",
	}
	bodies := []string{
		"", "hello", "5\r\nhello\r\n0\r\n\r\n", "0\r\n\r\n", "0\r\nX: y\r\n\r\n", "5;a\r\nhello\r\n0;b=c\r\n\r\n", "5 ;a\r\nhello\r\n0\r\n\r\n",
		"a\r\n0123456789\r\n00\r\n\r\n", "5\nhello\n0\n\n", "5\r\nhello0\r\n\r\n", "0\r\nHost: x\r\n\r\n", "0\r\n\r\nrest", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello\r\n0\r\nX: a\tb\r\nY:\r\n\r\n", "5\r\nhel", "FFFFFFFFFFFFFFFF\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n",
	}
	seen := 0
	for range 100_000 {
		var b []byte
		for range 1 + random.IntN(3) {
			b = append(b, mostly("", "\r\n", "\n", "\r\n\r\n", " ")...)
			b = append(b, pick(methods[:3])...)
			if random.IntN(20) == 0 {
				b = append(b, pick(methods)...)
			}
			b = append(b, mostly(" ", "  ", "\t", "")...)
			b = append(b, pick(targets)...)
			b = append(b, " "+mostly("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "")...)
			b = append(b, mostly("\r\n", "\n", "\r")...)
			if random.IntN(10) > 0 {
				b = append(b, "Host:"+mostly("h", "", "h:80", "[::1]", "a b", "\xff")+"\r\n"...)
			}
			framed := random.IntN(4)
			switch framed {
			case 0:
				b = append(b, mostly("Transfer-Encoding: chunked\r\n", "Transfer-Encoding:\tchunked\r\n", "transfer-encoding:CHUNKED \r\n", "Transfer-Encoding: chunked \r\n")...)
			case 1:
				b = append(b, "Content-Length: 5\r\n"...)
			}
			for range random.IntN(3) {
				b = append(b, pick(names)+mostly(": ", ":", " : ", ":\t ", "")+pick(values)+mostly("\r\n", "\n", "\r\r\n", "\r\n ")...)
			}
			b = append(b, mostly("\r\n", "\n", "\r\r\n", "")...)
			switch framed {
			case 0:
				b = append(b, mostly(append([]string{bodies[2+random.IntN(5)]}, bodies...)...)...)
			case 1:
				b = append(b, mostly(append([]string{"hello"}, bodies...)...)...)
			default:
				b = append(b, mostly(bodies...)...)
			}
		}
		seen += compare(t, b)
	}
	if seen < 20_000 {
		t.Errorf("only %d requests were compared: the pieces are too bad", seen)
	}
	t.Logf("%d requests were the same to both", seen)
}

// TestExceptions shows that each exception is needed.
func TestExceptions(t *testing.T) {
	for i, input := range []string{
		"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET http://h%c3%a9/ HTTP/1.1\r\nHost: x\r\n\r\n",
		post + "Trailer: Host\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n1 ;a\r\nx\r\n0\r\n\r\n",
		post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + strings.Repeat("x", 5000) + "\r\n\r\n",
		get + "Pragma: no-cache\r\n\r\n",
	} {
		ours, err, excepted := readOurs([]byte(input))
		if ours == nil || !excepted {
			t.Errorf("%s\n%.200q: %v, %v", exceptions[i].reason, input, ours, err)
			continue
		}
		theirs, err := readTheirs([]byte(input))
		if err == nil && theirs.String() == ours.String() {
			t.Errorf("%s\n%.200q: no difference", exceptions[i].reason, input)
		}
	}
}
