package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goasgi/goasgi/bridge/asgi/asgitest"
	"github.com/goasgi/goasgi/server/observe"
)

func TestAccessLog(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		var out logBuffer
		access := observe.NewAccessLog(&out, false)
		s := v.serve(t, Options{AccessLog: access, LimitConcurrency: 1}, func(c *asgitest.Call) {
			c.ReadAll()
			switch string(c.Scope.RawPath) {
			case "/leave":
				c.Receive()
			case "/crash":
			default:
				c.Respond(201, "x")
			}
		})
		var want strings.Builder
		line := func(c *client, request string, status string) {
			fmt.Fprintf(&want, "INFO:     %s - %q %s\n", c.LocalAddr(), request, status)
		}
		settled := func() {
			await(t, "no call", func() bool { return s.Stats().Calls == 0 })
		}
		c := s.dial()
		c.send("GET /a%%20b?c=d HTTP/1.1\r\nHost: a\r\n\r\n%s", "")
		c.expect(201, "x")
		line(c, "GET /a%20b?c=d HTTP/1.1", "201 Created")
		settled()
		c.send("POST /crash HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
		c.receive("POST")
		line(c, "POST /crash HTTP/1.0", "500 Internal Server Error")
		settled()
		d := s.dial()
		d.send("GET /leave HTTP/1.1\r\nHost: a\r\n\r\n")
		await(t, "the call", func() bool { return s.opened() == 3 })
		c.send("GET /busy?x HTTP/1.1\r\nHost: a\r\n\r\n")
		c.receive("GET")
		line(c, "GET /busy?x HTTP/1.1", "503 Service Unavailable")
		d.Conn.(interface{ SetLinger(int) error }).SetLinger(0)
		d.Close()
		line(d, "GET /leave HTTP/1.1", "499 Client Closed Request")
		settled()
		s.Close()
		access.Close()
		if out.String() != want.String() {
			t.Errorf("got\n%swant\n%s", out.String(), want.String())
		}
	})
}
