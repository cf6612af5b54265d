package cli

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// The types in this file are the kinds of values that flags have. Each says in
// its error what it expected; parse puts the flag's name in front.

type textValue struct{ p *string }

func (v textValue) Set(s string) error { *v.p = s; return nil }
func (v textValue) String() string     { return "" }
func (v textValue) Type() string       { return "some text" }

// socketValue is the path of a Unix domain socket.
type socketValue struct{ p *string }

// maxSocketPath is what sun_path of sockaddr_un holds, less the final zero byte.
const maxSocketPath = 107

func (v socketValue) Set(s string) error {
	if s == "" || len(s) > maxSocketPath {
		return fmt.Errorf("expected a path of 1 to %d bytes", maxSocketPath)
	}
	*v.p = filepath.Clean(s)
	return nil
}
func (v socketValue) String() string { return "" }
func (v socketValue) Type() string   { return fmt.Sprintf("a path of 1 to %d bytes", maxSocketPath) }

type intValue struct {
	p        *int
	min, max int // max 0: no upper limit to speak of
}

func (v intValue) Set(s string) error {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < v.min || n > v.limit() {
		return errors.New("expected " + v.Type())
	}
	*v.p = n
	return nil
}

func (v intValue) limit() int {
	if v.max == 0 {
		return math.MaxInt32
	}
	return v.max
}
func (v intValue) String() string { return "" }
func (v intValue) Type() string {
	if v.max == 0 {
		return fmt.Sprintf("a whole number, %d or above", v.min)
	}
	if v.min == v.max {
		return strconv.Itoa(v.min)
	}
	return fmt.Sprintf("a whole number from %d to %d", v.min, v.max)
}

type durationValue struct{ p *time.Duration }

// maxDuration keeps sums of durations and deadlines within an int64.
const maxDuration = 1000 * time.Hour

func (v durationValue) Set(s string) error {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil && f >= 0 && f <= maxDuration.Seconds() {
		d, err = time.Duration(math.Round(f*1e9)), nil
	}
	if err != nil || d < 0 || d > maxDuration {
		return errors.New("expected " + v.Type())
	}
	*v.p = d
	return nil
}
func (v durationValue) String() string { return "" }
func (v durationValue) Type() string {
	return `seconds ("2.5") or a number with a unit ("500ms", "1m")`
}

type choiceValue struct {
	p       *string
	choices []string
	ignored []string // accepted as well, but without effect
}

func (v choiceValue) Set(s string) error {
	s = strings.ToLower(s)
	for _, list := range [][]string{v.choices, v.ignored} {
		for _, c := range list {
			if c == s {
				*v.p = s
				return nil
			}
		}
	}
	if near := nearest(s, v.choices); near != "" {
		return fmt.Errorf("expected %s; did you mean %s?", v.Type(), near)
	}
	return errors.New("expected " + v.Type())
}
func (v choiceValue) String() string { return "" }
func (v choiceValue) Type() string   { return "one of " + strings.Join(v.choices, ", ") }

// boolValue is a flag without a value; "=false" after it is allowed, as values
// from the environment need it.
type boolValue struct {
	set func(bool)
}

func (v boolValue) Set(s string) error {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "true", "yes", "on", "t", "y":
		v.set(true)
	case "0", "false", "no", "off", "f", "n":
		v.set(false)
	default:
		return errors.New("expected " + v.Type())
	}
	return nil
}
func (v boolValue) String() string { return "" }
func (v boolValue) Type() string   { return "true or false" }

func boolTo(p *bool) boolValue { return boolValue{func(b bool) { *p = b }} }
func boolNot(v boolValue) boolValue {
	return boolValue{func(b bool) { v.set(!b) }}
}

// headersValue gathers response headers. Several in one value, as they come
// from the environment, are separated by line feeds.
type headersValue struct{ p *[]asgi.Header }

func (v headersValue) Set(s string) error {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.TrimSpace(line) == "" && strings.Contains(s, "\n") {
			continue
		}
		h, err := parseHeader(line)
		if err != nil {
			return err
		}
		*v.p = append(*v.p, h)
	}
	return nil
}
func (v headersValue) String() string { return "" }
func (v headersValue) Type() string   { return "NAME:VALUE, for example X-Frame-Options:DENY" }

// ofServer are response headers that frame a message or belong to one
// connection; a fixed value of them would break every response.
var ofServer = map[string]bool{
	"connection": true, "content-length": true, "keep-alive": true, "proxy-connection": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
}

func parseHeader(s string) (h asgi.Header, err error) {
	name, value, found := strings.Cut(s, ":")
	name, value = strings.ToLower(strings.TrimSpace(name)), strings.Trim(value, " \t")
	if !found || !isToken(name) {
		return h, errors.New("expected " + headersValue{}.Type())
	}
	if ofServer[name] {
		return h, fmt.Errorf("expected a header other than %s, which the server sets for each response", name)
	}
	// Header values are ISO-8859-1 on the wire, as in uvicorn.
	var b bytes.Buffer
	for _, r := range value {
		if r > 0xff || r == 0x7f || r < 0x20 && r != '\t' {
			return h, fmt.Errorf("expected a header value of ISO-8859-1 characters, got %q", r)
		}
		b.WriteByte(byte(r))
	}
	return asgi.Header{Name: []byte(name), Value: b.Bytes()}, nil
}

// isToken tells whether s is a token.
// "token = 1*tchar" (https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2)
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}
