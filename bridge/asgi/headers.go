package asgi

// Known is the number of a well-known request header name, so that a record
// carries a byte instead of the name and the application's side shares one
// object for it. 0 stands for every other name.
type Known uint8

// The well-known names that the server itself looks at.
const (
	_ Known = iota
	Host
	Connection
	ContentLength
	TransferEncoding
	Expect
	Upgrade
	TE
	Trailer
)

// KnownNames lists the well-known request header names, lower-cased; the index
// is the number. KnownNames[0] is empty.
var KnownNames = [...]string{
	"", "host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te", "trailer",
	"user-agent", "accept", "accept-encoding", "accept-language", "accept-charset", "authorization",
	"cache-control", "content-encoding", "content-type", "cookie", "date", "dnt", "forwarded", "from",
	"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive",
	"origin", "pragma", "priority", "proxy-authorization", "proxy-connection", "range", "referer",
	"sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode",
	"sec-fetch-site", "sec-fetch-user", "sec-websocket-extensions", "sec-websocket-key",
	"sec-websocket-protocol", "sec-websocket-version", "traceparent", "tracestate",
	"upgrade-insecure-requests", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
	"x-forwarded-proto", "x-real-ip", "x-request-id", "x-requested-with",
}

// KnownName returns the number of a lower-cased header name, or 0.
func KnownName(name []byte) Known {
	if len(name) >= len(byLength) {
		return 0
	}
	for _, k := range byLength[len(name)] {
		if KnownNames[k] == string(name) {
			return k
		}
	}
	return 0
}

// byLength holds the numbers of the names of each length.
var byLength = func() (t [32][]Known) {
	for i, name := range KnownNames {
		if i > 0 {
			t[len(name)] = append(t[len(name)], Known(i))
		}
	}
	return
}()
