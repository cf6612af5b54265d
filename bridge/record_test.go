package bridge

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// startRecord is REC_START as step.c writes it.
func startRecord(id asgi.ID, status uint16, headers []asgi.Header, body string, more bool) []byte {
	var table []byte
	for _, h := range headers {
		table = native.AppendUint32(table, uint32(len(h.Name)))
		table = native.AppendUint32(table, uint32(len(h.Value)))
		table = append(append(table, h.Name...), h.Value...)
	}
	b := make([]byte, headerSize, 256)
	b = native.AppendUint32(b, uint32(len(headers)))
	b = native.AppendUint32(b, uint32(len(table)))
	b = native.AppendUint32(b, uint32(len(body)))
	b = native.AppendUint32(b, 0)
	b = append(append(b, table...), body...)
	putHeader(b, recStart, bit(more), status, id)
	return b
}

func plainRecord(kind, flags uint8, aux uint16, id asgi.ID, data string) []byte {
	b := append(make([]byte, headerSize), data...)
	putHeader(b, kind, flags, aux, id)
	return b
}

func TestEvents(t *testing.T) {
	id := asgi.ID{Slot: 5, Serial: 77}
	headers := []asgi.Header{
		{Name: []byte("Content-Type"), Value: []byte("text/plain")},
		{Name: []byte("x"), Value: []byte{}},
	}
	tests := []struct {
		record []byte
		want   asgi.Event
	}{
		{startRecord(id, 201, headers, "body", true),
			asgi.Event{Kind: asgi.Start, Status: 201, Headers: headers, Body: []byte("body"), More: true}},
		{startRecord(id, 204, nil, "", false), asgi.Event{Kind: asgi.Start, Status: 204, Body: []byte{}}},
		{plainRecord(recPart, flagMore, 0, id, "part"), asgi.Event{Kind: asgi.Body, Body: []byte("part"), More: true}},
		{plainRecord(recPart, 0, 0, id, ""), asgi.Event{Kind: asgi.Body, Body: []byte{}}},
		{plainRecord(recTaken, 0, 0, id, "\x00\x80\x00\x00"), asgi.Event{Kind: asgi.Taken, Bytes: 32768}},
		{plainRecord(recWant, 0, 0, id, ""), asgi.Event{Kind: asgi.Want}},
		{plainRecord(recEnd, 0, 0, id, ""), asgi.Event{Kind: asgi.End}},
	}
	var e asgi.Event // reused, so that nothing may stay of the one before
	for _, test := range tests {
		if err := parseEvent(test.record, &e, false); err != nil {
			t.Errorf("%v: %v", test.want.Kind, err)
			continue
		}
		test.want.ID = id
		got := e
		if len(got.Headers) == 0 {
			got.Headers = nil
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("got %+v, want %+v", got, test.want)
		}
	}
}

func TestWrongEvents(t *testing.T) {
	id := asgi.ID{Slot: 1, Serial: 2}
	change := func(b []byte, at int, value uint32) []byte {
		native.PutUint32(b[at:], value)
		return b
	}
	start := func() []byte {
		return startRecord(id, 200, []asgi.Header{{Name: []byte("name"), Value: []byte("value")}}, "body", false)
	}
	tests := []struct {
		record []byte
		want   string
	}{
		{plainRecord(0, 0, 0, id, ""), "unknown kind 0"},
		{plainRecord(recControl+1, 0, 0, id, ""), "unknown kind"},
		{plainRecord(recEnd, 0, 0, asgi.ID{Slot: asgi.MaxSlots}, ""), "slot"},
		{plainRecord(recTaken, 0, 0, id, "123"), "wrong length"},
		{plainRecord(recTaken, 0, 0, id, "12345"), "wrong length"},
		{change(plainRecord(recTaken, 0, 0, id, "1234"), headerSize, asgi.Window+1), "beyond the window"},
		{plainRecord(recStart, 0, 0, id, strings.Repeat("x", startSize-1)), "too short"},
		{change(start(), headerSize, 2), "cut short"},
		{change(start(), headerSize, 0), "behind its headers"},
		{change(start(), headerSize, 0xffffffff), "cut short"},
		{change(start(), headerSize+4, 16), "do not add up"},
		{change(start(), headerSize+4, 0xffffffff), "do not add up"},
		{change(start(), headerSize+8, 0xffffffff), "do not add up"},
		{change(start(), headerSize+startSize, 0xffffffff), "longer than its room"},
		{change(start(), headerSize+startSize+4, 6), "longer than its room"},
		{plainRecord(recPart, flagLent, 0, id, "0123456789abcdef"), "lent"},
		{plainRecord(recStart, flagLent, 0, id, strings.Repeat("\x00", startSize+lentSize)), "lent"},
	}
	for _, test := range tests {
		var e asgi.Event
		if err := parseEvent(test.record, &e, false); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want one with %q", test.record, err, test.want)
		}
	}
}

func TestWrongSizes(t *testing.T) {
	for _, test := range []struct {
		committed int
		size      uint32
	}{{0, 16}, {8, 16}, {16, 15}, {16, 0}, {16, 17}, {16, 24}, {1 << 20, maxRecord + 1}, {24, 0xffffffff}} {
		b := make([]byte, test.committed)
		if len(b) >= 4 {
			native.PutUint32(b, test.size)
		}
		if _, err := splitRecord(b); err == nil {
			t.Errorf("size %d of %d committed bytes was taken", test.size, test.committed)
		}
	}
}

// A body is lent only by a worker in this process.
func TestLentBody(t *testing.T) {
	body := []byte("somewhere else in memory")
	lent := native.AppendUint64(nil, uint64(uintptr(unsafe.Pointer(&body[0]))))
	lent = native.AppendUint64(lent, uint64(len(body)))
	record := plainRecord(recPart, flagLent|flagMore, 0, asgi.ID{}, string(lent))
	var e asgi.Event
	if err := parseEvent(record, &e, true); err != nil || !bytes.Equal(e.Body, body) || !e.More {
		t.Errorf("got %q, %v", e.Body, err)
	}
	if err := parseEvent(record, &e, false); err == nil {
		t.Error("a worker of another process lent a body")
	}
	for _, wrong := range [][2]uint64{{0, 1}, {1 << 63, 1}, {4096, asgi.Window + 1}, {1<<64 - 1, 1}} {
		data := native.AppendUint64(native.AppendUint64(nil, wrong[0]), wrong[1])
		if err := parseEvent(plainRecord(recPart, flagLent, 0, asgi.ID{}, string(data)), &e, true); err == nil {
			t.Errorf("%d bytes at %#x were lent", wrong[1], wrong[0])
		}
	}
}

// The bytes of an open record are those that record.h says.
func TestOpen(t *testing.T) {
	scope := &asgi.Scope{
		Type: asgi.HTTP, Version: asgi.HTTP2, Secure: true,
		Method: []byte("POST"), RawPath: []byte("/%61"), Path: []byte("/a"), Query: []byte("q"),
		Client: asgi.Addr{Host: "::1", Port: 65535}, Server: asgi.Addr{Host: "/run/s", Port: asgi.NoPort},
		Headers: []asgi.Header{
			{Name: []byte("host"), Value: []byte("h"), Known: asgi.Host},
			{Name: []byte("x-y"), Value: []byte("value")},
		},
	}
	n, headers := openLen(scope, []byte("body"))
	b := make([]byte, n)
	putOpen(b, asgi.ID{Slot: 3, Serial: 4}, scope, headers, []byte("body"), true)
	var want []byte
	le := native
	want = le.AppendUint32(want, uint32(n))
	want = append(want, recOpen, flagMore, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0)
	want = append(want, 0, 2, 1, 0)
	want = le.AppendUint16(want, 4)
	want = le.AppendUint16(want, 2)
	for _, v := range []uint32{4, 2, 1, 6 + 1 + 6 + 3 + 5, 4} {
		want = le.AppendUint32(want, v)
	}
	want = le.AppendUint16(want, 3)
	want = le.AppendUint16(want, 6)
	want = le.AppendUint32(want, 65535)
	want = le.AppendUint32(want, 0xffffffff)
	want = append(want, "POST/%61/aq::1/run/s"...)
	want = append(want, byte(asgi.Host), 0x80, 1, 0, 0, 0, 'h')
	want = append(want, 3, 0, 5, 0, 0, 0)
	want = append(want, "x-yvaluebody"...)
	if !bytes.Equal(b, want) {
		t.Errorf("got  %q\nwant %q", b, want)
	}
	scope.Path = nil
	n, headers = openLen(scope, nil)
	b = make([]byte, n)
	putOpen(b, asgi.ID{}, scope, headers, nil, false)
	if le.Uint32(b[headerSize+12:]) != samePath || b[5] != 0 {
		t.Error("a path that equals the raw path was not left out")
	}
}

// FuzzRecord: whatever stands in the out ring, no slice that is handed out
// reaches beyond the record, and nothing panics.
func FuzzRecord(f *testing.F) {
	id := asgi.ID{Slot: 1, Serial: 1}
	headers := []asgi.Header{{Name: []byte("a"), Value: []byte("b")}, {Name: []byte("content-length"), Value: []byte("4")}}
	f.Add(startRecord(id, 200, headers, "body", true))
	f.Add(startRecord(id, 304, nil, "", false))
	f.Add(plainRecord(recPart, flagMore, 0, id, "part"))
	f.Add(plainRecord(recPart, flagLent, 0, id, "0123456789abcdef"))
	f.Add(plainRecord(recTaken, 0, 0, id, "\x01\x00\x00\x00"))
	f.Add(plainRecord(recWant, 0, 0, id, ""))
	f.Add(plainRecord(recEnd, 0, 0, id, ""))
	f.Add(plainRecord(recControl, 0, uint16(Log), asgi.ID{Slot: 20}, "text"))
	f.Fuzz(func(t *testing.T, committed []byte) {
		committed = committed[: len(committed)&^7 : len(committed)&^7]
		rec, err := splitRecord(committed)
		if err != nil {
			return
		}
		if len(rec) < headerSize || cap(rec) != len(rec) || !inside(rec, committed) {
			t.Fatalf("a record of %d bytes, capacity %d, of %d", len(rec), cap(rec), len(committed))
		}
		var e asgi.Event
		if parseEvent(rec, &e, true) == nil && len(e.Body) > max(len(rec), asgi.Window) {
			t.Fatalf("a body of %d bytes", len(e.Body))
		}
		if parseEvent(rec, &e, false) != nil {
			return
		}
		for _, h := range e.Headers {
			if !inside(h.Name, rec) || !inside(h.Value, rec) || cap(h.Name) != len(h.Name) || cap(h.Value) != len(h.Value) {
				t.Fatalf("header %q reaches beyond its record", h.Name)
			}
		}
		if !inside(e.Body, rec) {
			t.Fatal("the body reaches beyond its record")
		}
		if e.ID.Slot >= asgi.MaxSlots || e.Bytes > asgi.Window || e.Kind < asgi.Start || e.Kind > asgi.End {
			t.Fatalf("event %+v", e)
		}
	})
}

// inside tells whether part lies in whole.
func inside(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	begin, end := uintptr(unsafe.Pointer(&part[0])), uintptr(unsafe.Pointer(&part[len(part)-1]))
	return begin >= uintptr(unsafe.Pointer(&whole[0])) && end <= uintptr(unsafe.Pointer(&whole[len(whole)-1]))
}
