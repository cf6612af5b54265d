// Package asgi is the vocabulary that the Go side shares: server speaks it
// towards an application, bridge carries it to CPython, asgitest answers it in
// Go. It imports the standard library only.
//
// # Life of a call
//
// A call is one connection scope of the ASGI specification: one HTTP request
// or one WebSocket. The I/O loop opens it with [Port.Open], feeds it with
// [Port.Body], [Port.Credit] and [Port.Disconnect], and learns what the
// application does from the events that [Port.Poll] delivers. The event of
// kind [End] is the last one of a call: after it the application's coroutine
// has finished, nothing more may be said about that call in either direction,
// and the loop may use the slot of its [ID] again. A response may be complete
// long before End comes (background work), so a connection goes on to its next
// request, in a new call, while the old call still lives.
//
// # Who owns which byte until when
//
// Whatever is passed to a method of Port (scope, headers, body) belongs to the
// caller and is copied before the method returns. Whatever an [Event] points
// to belongs to the port and is valid until the handler returns.
//
// # Credit
//
// Both directions of a call are bounded by [Window] bytes. The loop may have
// passed at most Window body bytes that the application has not taken yet;
// events of kind [Taken] give credit back. The application may have sent at
// most Window body bytes that the loop has not given back with [Port.Credit],
// which it does as the client's socket takes them.
//
// # Goroutines
//
// A Port belongs to one I/O loop. All of its methods are called by that loop's
// goroutine and none of them blocks.
package asgi

// Window is the byte credit of a call in each direction.
const Window = 64 << 10

// MaxSlots bounds the calls that live at once on one Port: slots of an [ID]
// are below it.
const MaxSlots = 1 << 17

// An ID names a call on its port: the slot, which the loop chooses among those
// that are free and which indexes tables on both sides, and a serial number,
// so that a late event of a slot's previous call is recognised.
type ID struct {
	Slot   uint32
	Serial uint32
}

// Type is the type of a connection scope.
type Type uint8

const (
	HTTP      Type = iota // scope type "http"
	WebSocket             // scope type "websocket"
)

// Version is the HTTP version of a request, the scope's http_version.
type Version uint8

const (
	HTTP10 Version = iota // "1.0"
	HTTP11                // "1.1"
	HTTP2                 // "2"
	HTTP3                 // "3"
)

// An Addr is one end of a connection.
//
// For TCP, Host is the textual IP address and Port the port. For a Unix domain
// socket the server's Host is the path and Port is NoPort; the client's Host is
// empty, which the scope shows as None.
type Addr struct {
	Host string
	Port int32
}

// NoPort is the port of an address that has none.
const NoPort = -1

// A Header is one field of a request or a response.
type Header struct {
	Name  []byte // of requests: lower-cased
	Value []byte // without surrounding white space
	Known Known  // the name's number if it is a well-known one, else 0
}

// A Scope is the ASGI connection scope of a call, as far as the front knows it.
// What the application's side adds (asgi, state, root_path) is not in here.
type Scope struct {
	Type    Type
	Version Version
	Secure  bool // scheme https or wss
	Method  []byte
	RawPath []byte // as it stood in the request target, without the query
	Path    []byte // percent-decoded; nil if it equals RawPath
	Query   []byte // without the question mark
	Client  Addr
	Server  Addr
	Headers []Header
}

// Kind tells what an [Event] reports.
type Kind uint8

const (
	// Start is http.response.start together with the http.response.body that
	// followed: Status, Headers, Body and More are set. A head is never sent
	// alone, because the specification lets the application raise between the
	// two and still get a 500.
	Start Kind = iota + 1
	// Body is a further http.response.body: Body and More are set.
	Body
	// Taken gives Bytes of the credit for the request body back.
	Taken
	// Want says, once for each call, that the application has asked for a body
	// that was not there yet: the time to answer Expect: 100-continue.
	Want
	// End is the last event of a call: the application's coroutine has ended.
	// A response that is not complete by then never will be.
	End
)

// An Event is what an application did in a call.
type Event struct {
	ID      ID
	Kind    Kind
	More    bool // of Start and Body: more body follows
	Status  int
	Headers []Header // Known is not set; names are spelt as the application spelt them
	Body    []byte
	Bytes   int // of Taken
}

// A Handler takes the events of a port, in the loop's goroutine. The event and
// all that it points to are valid until Handle returns.
type Handler interface {
	Handle(*Event)
}

// A Port joins one I/O loop and one application.
//
// Open, Body, Credit, Disconnect and Cancel report whether there was room. If
// not, nothing was passed, and the loop calls again later: when room has come,
// FD is readable.
type Port interface {
	// Open begins a call. body is what is already here of the request body, at
	// most Window bytes; more tells whether any of it is still to come.
	Open(id ID, scope *Scope, body []byte, more bool) bool

	// Body passes a further part of the request body, within the credit.
	// An empty part with more false ends the body.
	Body(id ID, part []byte, more bool) bool

	// Credit gives n bytes back of the credit for the response body.
	Credit(id ID, n int) bool

	// Disconnect says that the client left. With gone false it only closed its
	// sending side: the application's receive() tells it, but what it sends is
	// still delivered. With gone true send() fails from now on.
	Disconnect(id ID, gone bool) bool

	// Cancel asks for the cancellation of the application's task, when the
	// grace of a stop is over.
	Cancel(id ID) bool

	// Poll hands at most limit events to h and returns how many there were.
	Poll(h Handler, limit int) int

	// Flush wakes the application if it sleeps and anything was passed since.
	// The loop calls it after a batch. Credit alone may wait for a few batches,
	// or until Sleep.
	Flush()

	// FD is a file descriptor on which epoll reports an edge when, after a call
	// of Sleep that returned true, there is an event to poll or room that was
	// missing before. The loop registers it edge-triggered and never reads it,
	// which saves a system call for each wake-up.
	FD() int

	// Sleep announces that the loop is about to wait on FD. It returns false
	// if there is something to do already; then the loop must not wait.
	Sleep() bool

	// Awake ends what Sleep began, after every wait.
	Awake()
}
