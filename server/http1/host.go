package http1

// validHost reports whether b is a valid value of Host.
//
// RFC 9110 7.2: "Host = uri-host [ ":" port ]", by RFC 3986 3.2.2. It may be
// empty: "If the authority component is missing or undefined for the target URI,
// then a client MUST send a Host header field with an empty field value."
// Refused are, beside what the grammar refuses, IP literals of versions to come
// and ports above 65535.
func validHost(b []byte) bool {
	i := 0
	if len(b) > 0 && b[0] == '[' {
		for i < len(b) && b[i] != ']' {
			i++
		}
		if i == len(b) || !validIPv6(b[1:i]) {
			return false
		}
		i++
	} else {
		for i < len(b) && class[b[i]]&regName != 0 {
			if b[i] == '%' {
				if i+2 >= len(b) || hexValue[b[i+1]] > 15 || hexValue[b[i+2]] > 15 {
					return false
				}
				i += 2
			}
			i++
		}
	}
	if i == len(b) {
		return true
	}
	if b[i] != ':' {
		return false
	}
	port := 0
	for _, c := range b[i+1:] {
		c -= '0'
		if c > 9 {
			return false
		}
		if port = port*10 + int(c); port > 65535 {
			return false
		}
	}
	return true
}

// validIPv6 reports whether b is an IPv6address of RFC 3986 (no zone).
func validIPv6(b []byte) bool {
	groups, elided := 0, false
	if len(b) >= 2 && b[0] == ':' {
		if b[1] != ':' {
			return false
		}
		elided = true
		b = b[2:]
	}
	for len(b) > 0 {
		n := 0
		for n < len(b) && hexValue[b[n]] < 16 {
			n++
		}
		if n < len(b) && b[n] == '.' {
			if !validIPv4(b) {
				return false
			}
			groups += 2
			break
		}
		if n == 0 || n > 4 {
			return false
		}
		groups++
		if b = b[n:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return false
		}
		if b = b[1:]; b[0] == ':' {
			if elided {
				return false
			}
			elided = true
			b = b[1:]
		}
	}
	return groups == 8 && !elided || groups < 8 && elided
}

func validIPv4(b []byte) bool {
	for part := 0; part < 4; part++ {
		if part > 0 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
		n, v := 0, 0
		for n < len(b) && n < 4 && b[n]-'0' <= 9 {
			v = v*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || v > 255 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}
