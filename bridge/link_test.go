package bridge

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge/asgi"
)

func newLink(t testing.TB) *Link {
	t.Helper()
	l, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// A worker is the other side of a link, played in Go: what module.c does.
type worker struct {
	t    testing.TB
	link *Link
	in   ring // the consumer's view
	out  ring // the producer's
	wake eventfd
}

func newWorker(t testing.TB, l *Link) *worker {
	return &worker{t, l, newRing(l.mem.header, offIn, l.mem.rings[0]), newRing(l.mem.header, offOut, l.mem.rings[1]), edges(t, l.worker)}
}

// read returns a copy of the next record of the in ring, or nil.
func (w *worker) read() []byte {
	committed, ok := w.in.next()
	if !ok {
		w.t.Error("cursors of the in ring contradict each other")
	}
	if len(committed) == 0 {
		return nil
	}
	rec, err := splitRecord(committed)
	if err != nil {
		w.t.Error(err)
		return nil
	}
	rec = bytes.Clone(rec)
	w.in.release(len(rec))
	if w.in.waits.Load() != 0 && w.in.waits.Swap(0) != 0 {
		wake(w.link.front)
	}
	return rec
}

// next waits for the next record of the in ring.
func (w *worker) next() []byte {
	for {
		if rec := w.read(); rec != nil {
			return rec
		}
		w.in.sleeps.Store(1)
		if w.in.tail.Load() == w.in.mine && !w.wake.wait(w.t) {
			return nil
		}
		w.in.sleeps.Store(0)
	}
}

// write writes a record into the out ring; false if there is no room.
func (w *worker) write(rec []byte) bool {
	b := w.out.reserve(len(rec))
	if b == nil {
		w.out.waits.Store(1)
		if b = w.out.reserve(len(rec)); b == nil {
			return false
		}
	}
	copy(b, rec)
	w.out.commit(len(rec))
	if w.out.sleeps.Load() != 0 && w.out.sleeps.Swap(0) != 0 {
		wake(w.link.front)
	}
	return true
}

func idOf(rec []byte) asgi.ID {
	return asgi.ID{Slot: native.Uint32(rec[8:]), Serial: native.Uint32(rec[12:])}
}

type handler func(*asgi.Event)

func (h handler) Handle(e *asgi.Event) { h(e) }

var get = &asgi.Scope{
	Version: asgi.HTTP11, Method: []byte("GET"), RawPath: []byte("/"),
	Client: asgi.Addr{Host: "127.0.0.1", Port: 1}, Server: asgi.Addr{Host: "127.0.0.1", Port: 2},
}

func TestRecordsToTheWorker(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	id := asgi.ID{Slot: 1, Serial: 2}
	ok := l.Open(id, get, []byte("body"), true) && l.Body(id, []byte("part"), false) && l.Credit(id, 1000) &&
		l.Disconnect(id, false) && l.Disconnect(id, true) && l.Cancel(id)
	if !ok {
		t.Fatal("no room in an empty ring")
	}
	if w.wake.ready() {
		t.Error("the worker was woken before Flush")
	}
	l.Flush()
	if !w.wake.ready() {
		t.Error("a sleeping worker was not woken by Flush")
	}
	l.Cancel(id)
	l.Flush()
	if w.wake.ready() {
		t.Error("a worker that does not sleep was woken")
	}
	for i, want := range []struct {
		kind, flags uint8
		aux         uint16
		data        string
	}{
		{recOpen, flagMore, 0, ""},
		{recBody, 0, 0, "part"},
		{recCredit, 0, 0, "\xe8\x03\x00\x00"},
		{recDisconnect, 0, 0, ""},
		{recDisconnect, 0, 1, ""},
		{recCancel, 0, 0, ""},
		{recCancel, 0, 0, ""},
	} {
		rec := w.read()
		if rec == nil {
			t.Fatalf("record %d is missing", i)
		}
		if want.kind == recOpen {
			want.data = string(rec[headerSize:])
			if !strings.HasSuffix(want.data, "body") {
				t.Errorf("open record %q", rec)
			}
		}
		if rec[4] != want.kind || rec[5] != want.flags || native.Uint16(rec[6:]) != want.aux || idOf(rec) != id ||
			string(rec[headerSize:]) != want.data {
			t.Errorf("record %d: %q, want %+v", i, rec, want)
		}
	}
}

func TestEventsOfTheWorker(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	id := asgi.ID{Slot: 1, Serial: 2}
	w.write(startRecord(id, 200, nil, "body", true))
	w.write(plainRecord(recPart, 0, 0, id, "part"))
	w.write(plainRecord(recControl, 0, uint16(Log), asgi.ID{Slot: 20}, "a line"))
	w.write(plainRecord(recControl, 0, uint16(Failed), asgi.ID{Slot: 0xffffffff}, ""))
	w.write(plainRecord(recEnd, 0, 0, id, ""))
	var got []string
	h := handler(func(e *asgi.Event) { got = append(got, fmt.Sprint(e.Kind, e.Status, string(e.Body), e.More)) })
	if n := l.Poll(h, 2); n != 2 {
		t.Errorf("Poll of at most 2 returned %d", n)
	}
	if n := l.Poll(h, 100); n != 3 {
		t.Errorf("Poll of the other three returned %d", n)
	}
	if want := "[1 200bodytrue 2 0partfalse 5 0false]"; fmt.Sprint(got) != want {
		t.Errorf("events %v, want %v", got, want)
	}
	if m := <-l.Messages(); m != (Message{Log, 20, "a line"}) {
		t.Errorf("message %+v", m)
	}
	if m := <-l.Messages(); m != (Message{Failed, -1, ""}) {
		t.Errorf("message %+v", m)
	}
}

// A full in ring refuses, and the loop is woken when there is room.
func TestFullInRing(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	front := edges(t, l.FD())
	part := make([]byte, 50_000)
	n := 0
	for l.Body(asgi.ID{}, part, true) {
		n++
	}
	for l.Cancel(asgi.ID{}) {
	}
	if n != RingSize/len(part) {
		t.Errorf("%d parts of %d bytes fit", n, len(part))
	}
	l.Flush()
	front.ready()
	if !l.Sleep() {
		t.Fatal("Sleep found something to do where there is none")
	}
	if front.ready() {
		t.Error("the loop was woken without a reason")
	}
	w.read()
	if !front.ready() {
		t.Fatal("the loop was not woken when there was room")
	}
	l.Awake()
	if !l.Body(asgi.ID{}, part[:40_000], true) {
		t.Error("no room where a record was read")
	}

	// Room that comes between the refusal and Sleep.
	for l.Body(asgi.ID{}, part, true) {
	}
	w.read()
	if l.Sleep() {
		t.Error("Sleep said nothing of the room that had come")
	}
	l.Awake()
}

// What other goroutines say reaches the worker, also when its ring is full.
func TestControl(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	front := edges(t, l.FD())
	if !l.Sleep() {
		t.Fatal("nothing to do, but Sleep refused")
	}
	var said sync.WaitGroup
	said.Go(func() { l.Signal(15); l.Stop() })
	if !front.wait(t) {
		t.FailNow()
	}
	said.Wait()
	l.Awake()
	l.Poll(handler(nil), 1)
	if rec := w.read(); rec[4] != recSignal || native.Uint16(rec[6:]) != 15 {
		t.Errorf("record %q", rec)
	}
	if rec := w.read(); rec[4] != recStop {
		t.Errorf("record %q", rec)
	}

	for l.Cancel(asgi.ID{}) {
	}
	for range 2 * maxControl {
		l.Signal(1)
	}
	if l.Poll(handler(nil), 1) != 0 || !l.Sleep() {
		t.Error("a full ring kept the loop from sleeping")
	}
	for w.read() != nil {
	}
	l.Awake()
	l.Poll(handler(nil), 1)
	signals := 0
	for rec := w.read(); rec != nil; rec = w.read() {
		if rec[4] == recSignal {
			signals++
		}
	}
	if signals != maxControl {
		t.Errorf("%d signals came, want %d", signals, maxControl)
	}
}

// A log line that nobody reads is dropped; everything else is kept.
func TestMessagesThatNobodyReads(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	for range 2000 {
		w.write(plainRecord(recControl, 0, uint16(Log), asgi.ID{}, "x"))
	}
	w.write(plainRecord(recControl, 0, uint16(Stopped), asgi.ID{}, ""))
	w.write([]byte("garbage, garbage, garbage, garbage"))
	for l.Poll(handler(nil), 100) > 0 {
	}
	kinds := map[MessageKind]int{}
	for kinds[Stopped] == 0 || kinds[Broken] == 0 {
		kinds[(<-l.Messages()).Kind]++
	}
	if kinds[Log] != cap(l.messages) {
		t.Errorf("%d log lines, want %d", kinds[Log], cap(l.messages))
	}
}

// Garbage ends the link: it is reported with a dump, and nothing more is read.
func TestGarbage(t *testing.T) {
	id := asgi.ID{Slot: 1, Serial: 1}
	for name, damage := range map[string]func(*worker){
		"size":    func(w *worker) { w.write([]byte("\xff\xff\xff\xffgarbage.....")) },
		"kind":    func(w *worker) { w.write(plainRecord(99, 0, 0, id, "dumped")) },
		"lengths": func(w *worker) { w.write(plainRecord(recStart, 0, 0, id, "dumped and too short")) },
		"tail":    func(w *worker) { w.out.tail.Store(12345) },
		"far":     func(w *worker) { w.out.tail.Store(1 << 50) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t)
			w := newWorker(t, l)
			events := 0
			h := handler(func(*asgi.Event) { events++ })
			w.write(plainRecord(recWant, 0, 0, id, ""))
			l.Poll(h, 1)
			damage(w)
			l.Poll(h, 100) // before the writer mends the cursors
			w.write(plainRecord(recEnd, 0, 0, id, ""))
			for range 3 {
				l.Poll(h, 100)
			}
			if events != 1 {
				t.Errorf("%d events", events)
			}
			m := <-l.Messages()
			if m.Kind != Broken || m.Status != 1 || !strings.HasPrefix(m.Text, "BUG: bridge: ") {
				t.Errorf("message %+v", m)
			}
			if strings.Contains(name, "kind lengths") && !strings.Contains(m.Text, "dumped") {
				t.Errorf("no dump of the record in %q", m.Text)
			}
			if !l.Sleep() {
				t.Error("a broken link keeps the loop awake")
			}
			if len(l.messages) != 0 {
				t.Error("the damage was reported twice")
			}
		})
	}
	t.Run("head", func(t *testing.T) {
		l := newLink(t)
		for l.Body(id, make([]byte, 60_000), true) {
		}
		l.in.head.Store(1 << 50)
		for range 3 {
			if l.Body(id, make([]byte, 60_000), true) {
				t.Error("a ring whose cursors contradict each other took a record")
			}
		}
		if m := <-l.Messages(); m.Kind != Broken || len(l.messages) != 0 {
			t.Errorf("message %+v", m)
		}
	})
}

func TestClose(t *testing.T) {
	l, err := NewLink()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	// The descriptors belong to others now.
	var fds []int
	for range 8 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	l.Stop()
	l.Signal(15)
	l.Close()
	for _, fd := range fds {
		var b [8]byte
		if _, err := unix.Read(fd, b[:]); err != unix.EAGAIN {
			t.Errorf("descriptor %d of somebody else was written or closed: %v", fd, err)
		}
	}
}

// A loop and a worker in two goroutines, which sleep whenever they can: every
// event comes, in order, and no wake-up is lost in either direction.
func TestLoopAndWorker(t *testing.T) {
	l := newLink(t)
	w := newWorker(t, l)
	calls := 100_000
	if testing.Short() || raceEnabled {
		calls = 15_000
	}
	var worker sync.WaitGroup
	var stopped atomic.Bool
	worker.Go(func() {
		random := rand.New(rand.NewPCG(3, 4))
		flush := func(rec []byte) {
			for !w.write(rec) {
				if !w.wake.wait(t) {
					return
				}
			}
		}
		body := make([]byte, 60_000)
		for !t.Failed() {
			rec := w.next()
			if rec == nil || rec[4] == recStop {
				stopped.Store(true)
				return
			}
			if rec[4] != recOpen {
				continue
			}
			id := idOf(rec)
			n := random.IntN(200)
			if random.IntN(50) == 0 {
				n = random.IntN(len(body))
			}
			flush(startRecord(id, uint16(200+id.Serial%100), nil, string(body[:n]), true))
			flush(plainRecord(recPart, 0, 0, id, ""))
			flush(plainRecord(recEnd, 0, 0, id, ""))
		}
	})

	front := edges(t, l.FD())
	random := rand.New(rand.NewPCG(5, 6))
	free := make([]uint32, 64)
	state := make([]asgi.Kind, len(free))
	serials := make([]uint32, len(free))
	for i := range free {
		free[i] = uint32(i)
	}
	opened, ended := 0, 0
	h := handler(func(e *asgi.Event) {
		if e.ID.Serial != serials[e.ID.Slot] || e.Kind == asgi.Start && e.Status != 200+int(e.ID.Serial%100) {
			t.Errorf("event %+v of serial %d", e, serials[e.ID.Slot])
		}
		before := state[e.ID.Slot]
		if e.Kind == asgi.Start && before != 0 || e.Kind == asgi.Body && before != asgi.Start || e.Kind == asgi.End && before != asgi.Body {
			t.Errorf("event %d after %d", e.Kind, before)
		}
		state[e.ID.Slot] = e.Kind
		if e.Kind == asgi.End {
			state[e.ID.Slot] = 0
			free = append(free, e.ID.Slot)
			ended++
		}
	})
	body := make([]byte, 50_000)
	for ended < calls && !t.Failed() {
		burst := 1 + random.IntN(len(serials))
		for burst > 0 && len(free) > 0 && opened < calls {
			slot := free[len(free)-1]
			n := random.IntN(100)
			if random.IntN(20) == 0 {
				n = random.IntN(len(body))
			}
			if !l.Open(asgi.ID{Slot: slot, Serial: uint32(opened)}, get, body[:n], false) {
				break
			}
			serials[slot] = uint32(opened)
			free = free[:len(free)-1]
			opened++
			burst--
		}
		l.Flush()
		if l.Poll(h, 1+random.IntN(100)) > 0 {
			continue
		}
		if l.Sleep() {
			front.wait(t)
		}
		l.Awake()
	}
	l.Stop()
	for !stopped.Load() && !t.Failed() {
		l.Poll(h, 100)
		l.Flush()
	}
	worker.Wait()
}

// No allocation on either way of a call through the Go half.
func TestCallsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l := newLink(t)
	w := newWorker(t, l)
	id := asgi.ID{Slot: 1, Serial: 1}
	start := startRecord(id, 200, []asgi.Header{{Name: []byte("a"), Value: []byte("b")}}, "body", false)
	end := plainRecord(recEnd, 0, 0, id, "")
	events := 0
	var h asgi.Handler = handler(func(*asgi.Event) { events++ })
	n := testing.AllocsPerRun(1000, func() {
		l.Open(id, get, nil, false)
		l.Credit(id, 4)
		l.Flush()
		for committed, _ := w.in.next(); len(committed) > 0; committed, _ = w.in.next() {
			w.in.release(int(native.Uint32(committed)))
		}
		w.write(start)
		w.write(end)
		l.Poll(h, 100)
		if l.Sleep() {
			l.Awake()
		}
	})
	if n != 0 || events == 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// python returns an interpreter and the folder of an extension built for it.
//
// GOASGI_TEST_PYTHON names an interpreter that finds goasgi._bridge by itself
// (PYTHONPATH). Without it, the extension is built here for python3.
func python(t *testing.T) (interpreter string, environment []string) {
	t.Helper()
	if interpreter := os.Getenv("GOASGI_TEST_PYTHON"); interpreter != "" {
		return interpreter, os.Environ()
	}
	interpreter, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("this test needs python3, CPython 3.11 or newer, on PATH; or GOASGI_TEST_PYTHON")
	}
	folder := t.TempDir()
	out, err := exec.Command(filepath.Join("..", "tests", "bridge", "build.sh"), interpreter, folder).CombinedOutput()
	if err != nil {
		t.Fatalf("the extension cannot be built for %s (it needs cc and Python's headers): %v\n%s", interpreter, err, out)
	}
	return interpreter, append(os.Environ(), "PYTHONPATH="+folder)
}

// A pythonWorker is testdata/worker.py in a process of its own.
type pythonWorker struct {
	*Link
	t     *testing.T
	front eventfd
	cmd   *exec.Cmd
	lines []string
}

func startPython(t *testing.T) *pythonWorker {
	t.Helper()
	l := newLink(t)
	interpreter, environment := python(t)
	d := l.Attach()
	cmd := exec.Command(interpreter, filepath.Join("testdata", "worker.py"), "3", "4", "5", strings.Join(asgi.KnownNames[:], ","))
	for _, fd := range []int{d.Memory, d.Worker, d.Front} {
		duplicate, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(duplicate), "link")
		defer file.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, file)
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Env = environment
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &pythonWorker{Link: l, t: t, front: edges(t, l.FD()), cmd: cmd}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return w
}

// until runs the loop until done says so.
func (w *pythonWorker) until(h asgi.Handler, done func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatal("the worker did not do what was expected")
		}
		w.Flush()
		if w.Poll(h, 100) > 0 {
			continue
		}
		if w.Sleep() && !w.front.wait(w.t) {
			w.t.FailNow()
		}
		w.Awake()
	}
}

func (w *pythonWorker) message(kind MessageKind) Message {
	w.t.Helper()
	var m Message
	w.until(handler(func(*asgi.Event) {}), func() bool {
		for {
			select {
			case m = <-w.Messages():
				if m.Kind == kind {
					return true
				}
				w.lines = append(w.lines, m.Text)
			default:
				return false
			}
		}
	})
	return m
}

// An exchange is a call as the loop sees it.
type exchange struct {
	status  int
	headers string
	body    bytes.Buffer
	whole   bool
	ended   bool
	wants   int
	passed  int // bytes of the request body without credit given back
}

// A real interpreter at the other end, in another process.
func TestPythonWorker(t *testing.T) {
	w := startPython(t)
	if m := w.message(Started); m.Text != "CPython" {
		t.Errorf("message %+v", m)
	}
	calls := map[asgi.ID]*exchange{}
	h := handler(func(e *asgi.Event) {
		x := calls[e.ID]
		if x == nil || x.ended {
			t.Errorf("event %+v of no call", e)
			return
		}
		switch e.Kind {
		case asgi.Start, asgi.Body:
			if e.Kind == asgi.Start {
				x.status = e.Status
				for _, f := range e.Headers {
					x.headers += fmt.Sprintf("%s=%s;", f.Name, f.Value)
				}
			}
			x.body.Write(e.Body)
			x.whole = !e.More
			if len(e.Body) > 0 {
				w.Credit(e.ID, len(e.Body))
			}
		case asgi.Taken:
			x.passed -= e.Bytes
		case asgi.Want:
			x.wants++
		case asgi.End:
			x.ended = true
		}
	})
	serial := uint32(0)
	open := func(path, query string, body []byte, more bool) (asgi.ID, *exchange) {
		serial++
		id := asgi.ID{Slot: serial % 512, Serial: serial}
		scope := *get
		scope.RawPath, scope.Query = []byte(path), []byte(query)
		scope.Headers = []asgi.Header{
			{Name: []byte("host"), Value: []byte("h"), Known: asgi.Host},
			{Name: []byte("x-echo"), Value: []byte(query)},
		}
		x := &exchange{}
		calls[id] = x
		if !w.Open(id, &scope, body, more) {
			t.Fatal("no room")
		}
		return id, x
	}

	for range 20 { // batches
		var batch []*exchange
		for i := range 100 {
			_, x := open("/"+strconv.Itoa(400+i), strconv.Itoa(i), []byte("body"), false)
			batch = append(batch, x)
		}
		w.until(h, func() bool {
			for _, x := range batch {
				if !x.ended {
					return false
				}
			}
			return true
		})
		for i, x := range batch {
			q := strconv.Itoa(i)
			if x.status != 400+i || x.headers != "x-query="+q+";x-echo="+q+";" || x.body.String() != "body" || !x.whole {
				t.Fatalf("call %d: %+v", i, x)
			}
		}
	}

	_, x := open("/200/download", "", nil, false)
	w.until(h, func() bool { return x.ended })
	if x.body.Len() != 64*20011 || x.body.Bytes()[63*20011] != 63 || !x.whole {
		t.Errorf("download of %d bytes, whole: %v", x.body.Len(), x.whole)
	}

	upload := make([]byte, 3_000_000)
	for i := range upload {
		upload[i] = byte(i * i >> 3)
	}
	id, x := open("/200/echo", "", nil, true)
	for at := 0; at < len(upload); {
		n := min(len(upload)-at, asgi.Window-x.passed, 50_001)
		if n > 0 && w.Body(id, upload[at:at+n], at+n < len(upload)) {
			at += n
			x.passed += n
			continue
		}
		passed := x.passed
		w.until(h, func() bool { return x.passed < passed || n > 0 })
	}
	w.until(h, func() bool { return x.ended })
	if !bytes.Equal(x.body.Bytes(), upload) || !x.whole || x.wants > 1 {
		t.Errorf("upload of %d bytes came back as %d, whole: %v, wanted %d times", len(upload), x.body.Len(), x.whole, x.wants)
	}

	id, x = open("/200/wait", "", nil, false)
	w.until(h, func() bool { return x.body.String() == "waiting" })
	w.Disconnect(id, true)
	w.until(h, func() bool { return x.ended })
	if x.whole {
		t.Error("a response whose client left is whole")
	}
	if m := w.message(Log); m.Text != "client left" || m.Status != 30 {
		t.Errorf("message %+v", m)
	}

	_, x = open("/200/raise", "", nil, false)
	w.until(h, func() bool { return x.ended })
	if x.status != 0 {
		t.Errorf("a head of status %d was sent before the application raised", x.status)
	}
	if m := w.message(Log); m.Text != "http: raised" || m.Status != 40 {
		t.Errorf("message %+v", m)
	}

	w.Signal(15)
	if m := w.message(Log); m.Status != 15 {
		t.Errorf("message %+v", m)
	}
	w.Stop()
	if m := w.message(Stopped); m.Status != 3 {
		t.Errorf("message %+v", m)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Error(err)
	}
}
