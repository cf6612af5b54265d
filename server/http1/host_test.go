package http1

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

// TestIPv6 compares with net/netip on addresses put together at random.
func TestIPv6(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{":", ":", ":", "::", "1", "ab", "F00", "0000", "12345", "1.2.3.4", "1.2.3", "256.1.1.1", "01.2.3.4", "g", "."}
	valid := 0
	for range 200_000 {
		var b strings.Builder
		for range 1 + random.IntN(9) {
			b.WriteString(pieces[random.IntN(len(pieces)-random.IntN(11))])
			if random.IntN(2) == 0 {
				b.WriteString("1:")
			}
		}
		s := b.String()
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6()
		if got := validIPv6([]byte(s)); got != want {
			t.Fatalf("%q: %t, net/netip: %t (%v)", s, got, want, err)
		}
		if want {
			valid++
		}
	}
	if valid < 1000 {
		t.Errorf("only %d addresses were valid", valid)
	}
}
