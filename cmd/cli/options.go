package cli

import (
	"strings"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
)

// options are what the command line and the environment say.
type options struct {
	app     string // module:attribute; empty if Host.App stands for it
	appDir  string
	factory bool
	python  string

	host    string
	port    int
	uds     string
	fd      int // 0: none
	backlog int

	loop       string
	lifespan   string
	rootPath   string
	headers    []asgi.Header
	server     bool
	date       bool
	cancel     bool
	eager      bool
	http       string // no effect
	ws         string // no effect
	iface      string // no effect
	workers    int    // no effect: 1
	proxy      bool   // no effect: false
	limitCalls int    // 0: none

	keepAlive time.Duration
	grace     time.Duration
	drainIdle time.Duration

	logLevel string
	access   bool
	colors   *bool // nil: if the stream is a terminal

	help    bool
	version bool
}

// defaults are uvicorn's unless said otherwise at the flag.
func defaults() *options {
	return &options{
		host: "127.0.0.1", port: 8000, backlog: 2048,
		loop: "auto", lifespan: "auto", server: true, date: true, eager: true,
		http: "auto", ws: "auto", iface: "auto", workers: 1,
		keepAlive: 75 * time.Second, grace: 25 * time.Second, drainIdle: time.Second,
		logLevel: "info", access: true,
	}
}

// value is pflag.Value.
type value interface {
	Set(string) error
	String() string
	Type() string // what Set expects
}

// An option is a flag, or for switches the pair --name and --no-name.
type option struct {
	name   string
	arg    string // the value's name in --help; empty: a switch
	pair   bool   // of a switch: there is --no-name too
	help   string
	def    string // the default as --help shows it, unit included
	value  value
	hidden bool // accepted, not in --help
}

// A group is a section of --help.
type group struct {
	title   string
	options []option
}

// groups is the list of all flags, in the order of --help; values go into o.
func (o *options) groups() []group {
	choice := func(p *string, choices ...string) value { return choiceValue{p: p, choices: choices} }
	return []group{
		{"Application", []option{
			{name: "app-dir", arg: "DIR", value: textValue{&o.appDir}, def: "the current directory",
				help: "Directory to import APP from, put first in sys.path."},
			{name: "factory", value: boolTo(&o.factory),
				help: "APP is a function without parameters that returns the application."},
			{name: "lifespan", arg: "MODE", value: choice(&o.lifespan, "auto", "on", "off"), def: "auto",
				help: "Lifespan events: auto, on (a failure in them is fatal), off."},
			{name: "root-path", arg: "PATH", value: textValue{&o.rootPath},
				help: "ASGI root_path, for an application that a proxy mounts below PATH."},
			{name: "loop", arg: "LOOP", value: choice(&o.loop, "auto", "asyncio", "uvloop"), def: "auto",
				help: "Event loop: auto (uvloop if it is installed), asyncio, uvloop."},
			{name: "eager-tasks", pair: true, value: boolTo(&o.eager), def: "on",
				help: "Start a request's task at once, not in the loop's next turn. Python 3.12 and later."},
			{name: "cancel-on-disconnect", value: boolTo(&o.cancel),
				help: "Cancel a request's task when its client leaves."},
			{name: "python", arg: "PATH", value: textValue{&o.python}, def: "$VIRTUAL_ENV, then python3 on PATH",
				help: "Python interpreter whose environment runs APP. Only for the Go program; the installed package runs in its own."},
		}},
		{"Sockets", []option{
			{name: "host", arg: "ADDRESS", value: textValue{&o.host}, def: "127.0.0.1",
				help: "Address to listen on; 0.0.0.0 or :: for all."},
			{name: "port", arg: "PORT", value: intValue{&o.port, 0, 65535}, def: "8000",
				help: "TCP port; 0 for one that is free, which is printed."},
			{name: "uds", arg: "PATH", value: socketValue{&o.uds},
				help: "Listen on a Unix domain socket instead of TCP."},
			{name: "fd", arg: "NUMBER", value: intValue{&o.fd, 1, 1 << 20},
				help: "Listen on an inherited socket with that descriptor number."},
			{name: "backlog", arg: "NUMBER", value: intValue{&o.backlog, 1, 0}, def: "2048 connections",
				help: "Connections that the kernel holds before they are accepted."},
		}},
		{"HTTP", []option{
			{name: "header", arg: "NAME:VALUE", value: headersValue{&o.headers},
				help: "Header for every response; may be given several times."},
			{name: "server-header", pair: true, value: boolTo(&o.server), def: "on",
				help: "Server header in responses that have none."},
			{name: "date-header", pair: true, value: boolTo(&o.date), def: "on",
				help: "Date header in responses that have none."},
		}},
		{"Timeouts and limits", []option{
			{name: "timeout-keep-alive", arg: "SECONDS", value: durationValue{&o.keepAlive}, def: "75 s",
				help: "Close a connection that has been idle for so long."},
			{name: "timeout-graceful-shutdown", arg: "SECONDS", value: durationValue{&o.grace}, def: "25 s",
				help: "When stopping, time for running requests before they are cancelled."},
			{name: "drain-idle", arg: "SECONDS", value: durationValue{&o.drainIdle}, def: "1 s",
				help: "When stopping, time in which idle connections may still send a request."},
			{name: "limit-concurrency", arg: "NUMBER", value: intValue{&o.limitCalls, 0, 0}, def: "none",
				help: "Requests at once; those above it are answered with 503."},
		}},
		{"Logging", []option{
			{name: "log-level", arg: "LEVEL", value: choice(&o.logLevel, "critical", "error", "warning", "info", "debug", "trace"), def: "info",
				help: "critical, error, warning, info, debug or trace."},
			{name: "access-log", pair: true, value: boolTo(&o.access), def: "on",
				help: "A line for each request on standard output, at level info."},
			{name: "use-colors", pair: true, value: boolValue{func(b bool) { o.colors = &b }}, def: "on a terminal",
				help: "Colours in the log."},
		}},
		{"Other", []option{
			{name: "version", value: boolTo(&o.version), help: "Print the version and exit."},
			{name: "help", value: boolTo(&o.help), help: "Print this and exit."},
		}},
		{"", []option{ // of uvicorn, right in the values that mean what this server does anyway
			{name: "http", arg: "NAME", hidden: true, value: choiceValue{&o.http, []string{"auto"}, []string{"httptools", "h11"}}},
			{name: "ws", arg: "NAME", hidden: true, value: choice(&o.ws, "auto", "none")},
			{name: "interface", arg: "NAME", hidden: true, value: choice(&o.iface, "auto", "asgi3")},
			{name: "workers", arg: "NUMBER", hidden: true, value: intValue{&o.workers, 1, 1}},
			{name: "no-proxy-headers", hidden: true, value: boolNot(boolTo(&o.proxy))},
		}},
	}
}

// later are flags that people know, from uvicorn or from what is planned, and
// that this version does not have; with what to do meanwhile.
var later = func() map[string]string {
	m := make(map[string]string)
	for _, e := range [][2]string{
		{"reload reload-dir reload-include reload-exclude reload-delay", "reload on changes; restart it by hand, or with a file watcher"},
		{"isolate preload timeout-worker-healthcheck", "worker processes"},
		{"limit-max-requests limit-max-requests-jitter", "restarts after a number of requests"},
		{"ssl-keyfile ssl-certfile ssl-keyfile-password ssl-version ssl-cert-reqs ssl-ca-certs ssl-ciphers",
			"TLS; put a proxy that does in front of it"},
		{"http2", "HTTP/2"},
		{"ws-max-size ws-max-queue ws-ping-interval ws-ping-timeout ws-per-message-deflate", "WebSockets"},
		{"proxy-headers forwarded-allow-ips", "trust X-Forwarded-* headers of proxies; use a middleware of the application"},
		{"env-file", "environment files; set the variables before it starts"},
		{"log-config", "logging configuration files"},
		{"h11-max-incomplete-event-size", "a setting for the size of heads, which may have 64 KiB"},
		{"reset-contextvars", "a setting for context variables"},
		{"static", "static files"},
	} {
		for name := range strings.FieldsSeq(e[0]) {
			m[name] = e[1]
		}
	}
	return m
}()

// elsewhere are flags of other servers, with what they are called here.
var elsewhere = map[string]string{
	"bind": "--host and --port, or --uds", "b": "--host and --port, or --uds",
	"chdir": "--app-dir", "keep-alive": "--timeout-keep-alive", "graceful-timeout": "--timeout-graceful-shutdown",
	"access-logfile": "--access-log", "backpressure": "--limit-concurrency", "unix-socket": "--uds",
}
