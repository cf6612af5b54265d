package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// decode decodes in, given in parts that end where cut says, and returns the
// data, how much of in was consumed, and whether the body is complete.
func decode(body *Body, in []byte, cut func(i int) bool) (data []byte, n int, err error) {
	for end := 1; end <= len(in); end++ {
		if end < len(in) && !cut(end) {
			continue
		}
		for !body.Done() {
			part, k, err := body.Decode(in[n:end:end])
			if err != nil {
				return data, n, err
			}
			if len(part) > k {
				return data, n, fmt.Errorf("%d bytes of data from %d", len(part), k)
			}
			data = append(data, part...)
			if n += k; k == 0 {
				break
			}
		}
		if n < end && !body.Done() {
			return data, n, fmt.Errorf("%d bytes of %d were left", end-n, end)
		}
	}
	return data, n, nil
}

func whole(int) bool { return false }

// decodeEverySplit decodes in as a whole, byte by byte, and in two parts for
// every place to split, and checks that the outcome is always the same.
func decodeEverySplit(t *testing.T, r *Request, in []byte) (data []byte, n int, done bool, err error) {
	t.Helper()
	var body Body
	body.Reset(r)
	data, n, err = decode(&body, in, whole)
	done = body.Done()
	check := func(how string, cut func(int) bool) {
		t.Helper()
		var b Body
		b.Reset(r)
		d, k, e := decode(&b, in, cut)
		if err != nil {
			// How far it came and what it gave before the error may differ.
			if e != err || !bytes.HasPrefix(d, data) {
				t.Errorf("%.200q %s: %v, as a whole: %v", in, how, e, err)
			}
		} else if e != nil || k != n || b.Done() != done || !bytes.Equal(d, data) {
			t.Errorf("%.200q %s: %.50q, %d, %t, %v; as a whole: %.50q, %d, %t", in, how, d, k, b.Done(), e, data, n, done)
		}
	}
	check("byte by byte", func(int) bool { return true })
	if len(in) < 2000 {
		for at := 1; at < len(in); at++ {
			check(fmt.Sprint("split at ", at), func(i int) bool { return i == at })
		}
	}
	return data, n, done, err
}

var chunked = &Request{Chunked: true, ContentLength: -1}

func TestChunked(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1000)
	tests := []struct{ in, want string }{
		{"0\r\n\r\n", ""},
		{"000\r\n\r\n", ""},
		{"5\r\nhello\r\n0\r\n\r\n", "hello"},
		{"05\r\nhello\r\n006\r\n world\r\n0\r\n\r\n", "hello world"},
		{"a\r\n0123456789\r\nA\r\n\r\n0\r\n\r\n5\r\n\r\n0\r\n\r\n", "0123456789\r\n0\r\n\r\n5\r\n"},
		{"3e80\r\n" + long + "\r\n3E80;x\r\n" + long + "\r\n0\r\n\r\n", long + long},
		// RFC 9112 7.1.1: "A recipient MUST ignore unrecognized chunk extensions."
		{"5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"},
		{"5;a=\"b;\\\"c\xc3\xa9\";d\r\nhello\r\n0\r\n\r\n", "hello"},
		{"5 \t; a = b ;c\t;d=\"\" ; e\r\nhello\r\n0 ;x\r\n\r\n", "hello"},
		{"1;" + strings.Repeat("x", maxChunkLine-3) + "\r\nh\r\n0\r\n\r\n", "h"},
		// RFC 9112 7.1.2: trailer fields are dropped.
		{"5\r\nhello\r\n0\r\nA: b\r\nX-Y:\r\nz:\t\xff z \r\n\r\n", "hello"},
		{"0\r\nContent-MD5: x\r\nHos: x\r\nHosts: x\r\nContent-Length-Of-Something: x\r\n\r\n", ""},
		{"0\r\nA: " + strings.Repeat("x", maxTrailers-7) + "\r\n\r\n", ""},
	}
	for _, test := range tests {
		data, n, done, err := decodeEverySplit(t, chunked, []byte(test.in+"GET /next"))
		if err != nil || !done || n != len(test.in) || string(data) != test.want {
			t.Errorf("%.200q: %.50q, %d, %t, %v", test.in, data, n, done, err)
		}
		// RFC 9112 8: "A message body that uses the chunked transfer coding is
		// incomplete if the zero-sized chunk that terminates the encoding has
		// not been received."
		for i := range len(test.in) {
			if i > 100 && i < len(test.in)-100 {
				continue
			}
			var body Body
			body.Reset(chunked)
			if _, n, err := decode(&body, []byte(test.in[:i]), whole); n != i || err != nil || body.Done() || body.Remaining() != -1 {
				t.Errorf("%.200q: %d of %d, %v, done %t", test.in[:i], n, i, err, body.Done())
			}
		}
	}
}

func TestChunkedRefused(t *testing.T) {
	tests := []struct {
		says   string
		status int
		bodies []string
	}{
		{`RFC 9112 7.1: "chunk-size = 1*HEXDIG"`, 400, []string{
			"\r\n", " 5\r\n", "\t5\r\n", "+5\r\n", "-5\r\n", "0x5\r\n", "x\r\n", ";a\r\n", "g\r\n",
			"5 5\r\n", "5_0\r\n", "5,\r\n", "5.\r\n", "\x00", "\xd9\xa5\r\n", "5\x00\r\n", "5\x0b\r\n",
		}},
		{`"chunk = chunk-size [ chunk-ext ] CRLF": white space leads to an extension or is refused`, 400, []string{
			"5 \r\n", "5\t\r\n", "0 \r\n\r\n", "5 \n",
		}},
		{`"A recipient MUST be able to parse and decode the chunked transfer coding", each line ending with CRLF`, 400, []string{
			"5\n", "5\rx", "5\r\r\n", "5;a\n", "5;a\rb\r\n", "5;a\r\r\n", "5;\"\n\"\r\n", "5;\"\r\n\"\r\n",
			"5;\x00\r\n", "5;\x7f\r\n",
			"5\r\nhello5\r\n", "5\r\nhello\n", "5\r\nhello\rx", "5\r\nhello\r\r\n", "5\r\nhello!\r\n",
			"0\r\n\n", "0\r\n\r\r\n", "0\r\n\rx", "0\n\r\n", "0\r\nA: b\n\r\n", "0\r\nA: b\rc\r\n",
		}},
		{`"chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )"`, 400, []string{
			"5;\r\n", "5; \r\n", "5;;a\r\n", "5;=b\r\n", "5;a=\r\n", "5;a \r\n", "5;a=b \r\n", "5;a b\r\n", "5;a=b c\r\n",
			"5;a=\"b\r\n", "5;a=\"b\\\r\n", "5;a=\"b\"c\r\n", "5;a=b\"c\"\r\n", "5;a,b\r\n", "5;a=\"\x00\"\r\n",
			"5;a=\"\\\x7f\"\r\n", "5;\xc3\xa9\r\n", "5;\"a\"\r\n",
		}},
		{`"recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to integer conversion overflows"`, 400, []string{
			"1000000000000000\r\n", "7fffffffffffffff\r\n", "8000000000000000\r\n", "ffffffffffffffff\r\n",
			"10000000000000000\r\n", "10000000000000005\r\nhello",
		}},
		{`RFC 9112 7.1.1: "A server ought to limit the total length of chunk extensions received in a request"`, 400, []string{
			strings.Repeat("0", maxChunkLine+1), "0;" + strings.Repeat("x", maxChunkLine), "0" + strings.Repeat(" ", maxChunkLine),
			strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\nh\r\n", 100),
		}},
		{`RFC 9110 6.5.1: "it excludes [...] those that describe message framing, routing [...]"`, 400, []string{
			"0\r\nContent-Length: 5\r\n\r\n", "0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nHOST: x\r\n\r\n",
			"0\r\nA: b\r\nTrailer: x\r\n\r\n", "0\r\nConnection: close\r\n\r\n", "0\r\nte: x\r\n\r\n",
			"0\r\nupgrade: x\r\n\r\n", "0\r\nexpect: x\r\n\r\n",
		}},
		{`RFC 9112 7.1.2: "trailer-section = *( field-line CRLF )"`, 400, []string{
			"0\r\n: b\r\n\r\n", "0\r\nA\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\n A: b\r\n\r\n", "0\r\nA: b\r\n c\r\n\r\n",
			"0\r\nA: b\x00\r\n\r\n", "0\r\nA b: c\r\n\r\n", "0\r\nA\xc3: b\r\n\r\n",
		}},
		{"a trailer section has its limit", 431, []string{
			"0\r\nA: " + strings.Repeat("x", maxTrailers), "0\r\n" + strings.Repeat("A: b\r\n", maxTrailers/6+1),
		}},
	}
	for _, test := range tests {
		for _, in := range test.bodies {
			data, _, done, err := decodeEverySplit(t, chunked, []byte(in))
			if err == nil || done {
				t.Errorf("%s\n%.200q was accepted: %q", test.says, in, data)
			} else if e, ok := err.(*Error); !ok || e.Status != test.status {
				t.Errorf("%s\n%.200q: %v", test.says, in, err)
			}
		}
	}
}

func TestErrorStays(t *testing.T) {
	var body Body
	body.Reset(chunked)
	_, _, first := body.Decode([]byte("x"))
	_, n, again := body.Decode([]byte("0\r\n\r\n"))
	if first == nil || again != first || n != 0 || body.Done() || body.Remaining() != -1 {
		t.Errorf("%v, then %d, %v", first, n, again)
	}
	body.Reset(&Request{ContentLength: -1})
	if _, n, err := body.Decode([]byte("x")); n != 0 || err != nil || !body.Done() {
		t.Errorf("after Reset: %d, %v, %t", n, err, body.Done())
	}
}

func TestContentLength(t *testing.T) {
	for _, length := range []int64{-1, 0, 1, 5, 1 << 40} {
		in := []byte("hello, and what comes next")
		want := max(0, min(length, int64(len(in))))
		data, n, done, err := decodeEverySplit(t, &Request{ContentLength: length}, in)
		if err != nil || int64(n) != want || string(data) != string(in[:want]) || done != (length < int64(len(in))) {
			t.Errorf("length %d: %q, %d, %t, %v", length, data, n, done, err)
		}
		var body Body
		body.Reset(&Request{ContentLength: length})
		if got := body.Remaining(); got != max(0, length) {
			t.Errorf("length %d: %d remain", length, got)
		}
		body.Decode(in[:3])
		if got := body.Remaining(); got != max(0, length-3) {
			t.Errorf("length %d: %d remain after 3", length, got)
		}
	}
}
