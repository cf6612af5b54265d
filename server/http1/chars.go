package http1

// equalFold reports whether b equals s, which is lower-case ASCII, in any case.
func equalFold(b []byte, s string) bool {
	return len(b) == len(s) && hasPrefixFold(b, s)
}

func hasPrefixFold(b []byte, s string) bool {
	if len(b) < len(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := b[i]
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// Classes of bytes.
const (
	targetPlain   = 1 + iota // in a target, without a meaning here
	targetQuery              // the question mark
	targetPercent            // the percent sign
	targetMask    = 3

	value   = 4 // in a field value
	regName = 8 // in a registered name of RFC 3986 3.2.2, or an IPv4 address
)

var (
	// lower holds the lower-case form of the bytes of a token, 0 for others.
	// RFC 9110 5.6.2: "tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" /
	// "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA".
	lower [256]byte
	// class holds the classes of each byte.
	class [256]byte
	// hexValue holds the values of hexadecimal digits, 255 for other bytes.
	hexValue [256]byte
)

func init() {
	const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for _, c := range []byte(alphanumeric + "!#$%&'*+-.^_`|~") {
		lower[c] = c
		if 'A' <= c && c <= 'Z' {
			lower[c] = c + 'a' - 'A'
		}
	}
	for c := range 256 {
		hexValue[c] = 255
		// The grammar of a target has fewer characters; those that servers and
		// applications are used to get, such as raw UTF-8, pass. A fragment is
		// never sent (RFC 9110 4.2.5).
		if c > ' ' && c != 0x7f && c != '#' {
			class[c] = targetPlain
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			class[c] |= value
		}
	}
	class['?'] = class['?']&^targetMask | targetQuery
	class['%'] = class['%']&^targetMask | targetPercent
	for _, c := range []byte(alphanumeric + "-._~" + "!$&'()*+,;=" + "%") {
		class[c] |= regName
	}
	for i, c := range []byte("0123456789abcdef") {
		hexValue[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		hexValue[c] = byte(10 + i)
	}
}
