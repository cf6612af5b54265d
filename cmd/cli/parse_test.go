package cli

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
)

var update = flag.Bool("update", false, "write testdata/help.txt anew")

func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

var program = Host{Program: "goasgi", Embedded: true}

func mustParse(t *testing.T, lookup func(string) (string, bool), argv ...string) *options {
	t.Helper()
	o, err := parse(argv, lookup, program)
	if err != nil {
		t.Fatalf("%q: %v", argv, err)
	}
	return o
}

func TestDefaults(t *testing.T) {
	got := mustParse(t, env(), "main:app")
	want := defaults()
	want.app = "main:app"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFlags(t *testing.T) {
	yes, no := true, false
	for _, c := range []struct {
		argv string
		want func(*options)
	}{
		{"--host 0.0.0.0", func(o *options) { o.host = "0.0.0.0" }},
		{"--port 0", func(o *options) { o.port = 0 }},
		{"--port=65535", func(o *options) { o.port = 65535 }},
		{"--uds ./x/../app.sock", func(o *options) { o.uds = "app.sock" }},
		{"--fd 3", func(o *options) { o.fd = 3 }},
		{"--backlog 10", func(o *options) { o.backlog = 10 }},
		{"--app-dir src", func(o *options) { o.appDir = "src" }},
		{"--factory", func(o *options) { o.factory = true }},
		{"--root-path /api", func(o *options) { o.rootPath = "/api" }},
		{"--loop asyncio", func(o *options) { o.loop = "asyncio" }},
		{"--loop UVLOOP", func(o *options) { o.loop = "uvloop" }},
		{"--lifespan off", func(o *options) { o.lifespan = "off" }},
		{"--log-level trace", func(o *options) { o.logLevel = "trace" }},
		{"--log-level INFO", func(o *options) { o.logLevel = "info" }},
		{"--no-access-log", func(o *options) { o.access = false }},
		{"--access-log=false", func(o *options) { o.access = false }},
		{"--no-access-log --access-log", func(o *options) {}},
		{"--use-colors", func(o *options) { o.colors = &yes }},
		{"--no-use-colors", func(o *options) { o.colors = &no }},
		{"--no-server-header --no-date-header", func(o *options) { o.server, o.date = false, false }},
		{"--timeout-keep-alive 5", func(o *options) { o.keepAlive = 5 * time.Second }},
		{"--timeout-keep-alive 0", func(o *options) { o.keepAlive = 0 }},
		{"--timeout-keep-alive 2.5", func(o *options) { o.keepAlive = 2500 * time.Millisecond }},
		{"--timeout-graceful-shutdown 500ms", func(o *options) { o.grace = 500 * time.Millisecond }},
		{"--drain-idle 1m", func(o *options) { o.drainIdle = time.Minute }},
		{"--limit-concurrency 100", func(o *options) { o.limitCalls = 100 }},
		{"--cancel-on-disconnect", func(o *options) { o.cancel = true }},
		{"--no-eager-tasks", func(o *options) { o.eager = false }},
		{"--python /opt/py", func(o *options) { o.python = "/opt/py" }},
		{"--workers 1 --http auto --ws none --interface asgi3 --no-proxy-headers", func(o *options) { o.ws, o.iface = "none", "asgi3" }},
		{"--http h11", func(o *options) { o.http = "h11" }},
	} {
		want := defaults()
		want.app = "main:app"
		c.want(want)
		for _, argv := range [][]string{
			append([]string{"main:app"}, strings.Fields(c.argv)...),
			append(strings.Fields(c.argv), "main:app"),
		} {
			if got := mustParse(t, env(), argv...); !reflect.DeepEqual(got, want) {
				t.Errorf("%q: got %+v, want %+v", argv, got, want)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	o := mustParse(t, env(), "main:app", "--header", "X-Frame-Options: DENY", "--header", "server:mine", "--header", "x-a:", "--header", "x-b:é:1")
	want := []asgi.Header{
		{Name: []byte("x-frame-options"), Value: []byte("DENY")}, {Name: []byte("server"), Value: []byte("mine")},
		{Name: []byte("x-a"), Value: []byte("")}, {Name: []byte("x-b"), Value: []byte("\xe9:1")},
	}
	if len(o.headers) != len(want) {
		t.Fatalf("got %q", o.headers)
	}
	for i, h := range o.headers {
		if string(h.Name) != string(want[i].Name) || string(h.Value) != string(want[i].Value) {
			t.Errorf("got %q, want %q", h, want[i])
		}
	}
	if o.server || !o.date {
		t.Error("a server header of the user's own must replace the server's, and nothing else")
	}
}

func TestEnvironment(t *testing.T) {
	o := mustParse(t, env(
		"GOASGI_PORT", "81", "GOASGI_HOST", "::1", "GOASGI_ACCESS_LOG", "0", "GOASGI_NO_DATE_HEADER", "1",
		"GOASGI_FACTORY", "true", "GOASGI_TIMEOUT_KEEP_ALIVE", "3s", "GOASGI_HEADER", "x-a:1\nx-b:2\n", "GOASGI_APP", "web:app",
		"GOASGI_UDS", ""))
	want := defaults()
	want.app, want.port, want.host, want.access, want.date, want.factory, want.keepAlive = "web:app", 81, "::1", false, false, true, 3*time.Second
	want.headers = []asgi.Header{{Name: []byte("x-a"), Value: []byte("1")}, {Name: []byte("x-b"), Value: []byte("2")}}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got %+v, want %+v", o, want)
	}

	o = mustParse(t, env("GOASGI_PORT", "81", "GOASGI_ACCESS_LOG", "0", "GOASGI_NO_DATE_HEADER", "1", "GOASGI_HEADER", "x-a:1", "GOASGI_APP", "web:app"),
		"main:app", "--port", "82", "--access-log", "--date-header", "--header", "x-c:3")
	if o.port != 82 || !o.access || !o.date || len(o.headers) != 1 || o.app != "main:app" {
		t.Errorf("the command line goes first, got %+v", o)
	}
}

func TestMistakes(t *testing.T) {
	wheel := Host{Program: "goasgi", Executable: "/nowhere/bin/python"}
	for _, c := range []struct{ argv, want string }{
		{"", missingApp},
		{"a:app b:app", "expected one APP, got 2: a:app and b:app"},
		{"a:app --access-log false", "a switch has no value; it is turned off with --no-NAME"},
		{"a:app --prot 80", "unknown option --prot; did you mean --port?"},
		{"a:app --timeout_keep_alive 5", "did you mean --timeout-keep-alive?"},
		{"a:app --timeout 5", "did you mean --timeout-keep-alive or --timeout-graceful-shutdown?"},
		{"a:app --no-acces-log", "did you mean --no-access-log?"},
		{"a:app --quantum", "unknown option --quantum"},
		{"a:app -p 80", "unknown option -p; did you mean --python or --port?"},
		{"a:app --bind x", "it is --host and --port, or --uds here"},
		{"a:app -b x", "unknown option -b; it is --host and --port, or --uds here"},
		{"a:app --port", "--port needs a value: a whole number from 0 to 65535"},
		{"a:app --port abc", `invalid value "abc" for --port: expected a whole number from 0 to 65535`},
		{"a:app --port 65536", "from 0 to 65535"},
		{"a:app --port -1", "from 0 to 65535"},
		{"a:app --port 80.5", "from 0 to 65535"},
		{"a:app --backlog 0", "a whole number, 1 or above"},
		{"a:app --limit-concurrency many", "a whole number, 0 or above"},
		{"a:app --timeout-keep-alive soon", `expected seconds ("2.5") or a number with a unit ("500ms", "1m")`},
		{"a:app --timeout-keep-alive -1", "expected seconds"},
		{"a:app --timeout-keep-alive nan", "expected seconds"},
		{"a:app --timeout-keep-alive 1e300", "expected seconds"},
		{"a:app --loop uvlop", "expected one of auto, asyncio, uvloop; did you mean uvloop?"},
		{"a:app --log-level loud", "expected one of critical, error, warning, info, debug, trace"},
		{"a:app --lifespan always", "expected one of auto, on, off"},
		{"a:app --factory=maybe", "expected true or false"},
		{"a:app --header x", "expected NAME:VALUE"},
		{"a:app --header x\x00:y", "expected NAME:VALUE"},
		{"a:app --header x:\x01", "ISO-8859-1"},
		{"a:app --header x:\u20ac", "ISO-8859-1"},
		{"a:app --header Content-Length:3", "other than content-length"},
		{"a:app --uds x --fd 3", "--uds and --fd: expected one of them"},
		{"a:app --uds " + strings.Repeat("x", 108), "a path of 1 to 107 bytes"},
		{"a:app --fd -1", "from 1 to"},
		{"a:app --workers 2", "this version has one worker"},
		{"a:app --reload", "this version does not have reload on changes"},
		{"a:app --ssl-keyfile x", "this version does not have TLS"},
		{"a:app --ssl-certfile=x", "this version does not have TLS"},
		{"a:app --ws websockets", "expected one of auto, none"},
		{"a:app --interface wsgi", "expected one of auto, asgi3"},
		{"a:app --proxy-headers", "this version does not have"},
		{"a:app --=x", "a name was expected behind the dashes"},
		{"app.py", "did you mean app:app?"},
		{"./app.py", "did you mean app:app?"},
		{"app.py:main", "did you mean app:main?"},
		{"src/web/app.py:main", "did you mean app:main --app-dir src/web?"},
		{"../app.py", "did you mean app:app --app-dir ..?"},
		{"/srv/app", "did you mean app:app --app-dir /srv?"},
		{"src/", `got the directory "src/"`},
		{":app", "without a module"},
		{"app:", "without an attribute"},
		{"a:b:c", "two colons"},
		{"a:app --python /opt/python", "cannot run another Python"},
	} {
		_, err := parse(strings.Fields(c.argv), env(), wheel)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %q, want something with %q", c.argv, err, c.want)
		}
	}
	for _, c := range []struct{ name, value, want string }{
		{"GOASGI_PORT", "abc", `invalid value "abc" in GOASGI_PORT: expected a whole number from 0 to 65535`},
		{"GOASGI_ACCESS_LOG", "maybe", `invalid value "maybe" in GOASGI_ACCESS_LOG: expected true or false`},
		{"GOASGI_SSL_KEYFILE", "x", "GOASGI_SSL_KEYFILE is set, but this version does not have TLS"},
	} {
		_, err := parse([]string{"a:app"}, env(c.name, c.value), wheel)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: got %q, want something with %q", c.name, c.value, err, c.want)
		}
	}
}

func TestAppInPackage(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("shop/api", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("shop/api/__init__.py", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkApp("shop/api/asgi.py"); err == nil || !strings.Contains(err.Error(), "did you mean shop.api.asgi:app?") {
		t.Error(err)
	}
}

func TestApps(t *testing.T) {
	for _, app := range []string{"main", "main:app", "shop.asgi:application", "main:web.app", "main:make.app"} {
		if got := mustParse(t, env(), app).app; got != app {
			t.Errorf("got %q, want %q", got, app)
		}
	}
	object := Host{Program: "goasgi", App: "<FastAPI object>"}
	if o, err := parse(nil, env("GOASGI_APP", "x:y"), object); err != nil || o.app != "" || o.name(object) != "<FastAPI object>" {
		t.Error(o, err)
	}
	if _, err := parse([]string{"main:app"}, env(), object); err == nil {
		t.Error("APP beside an application object must be refused")
	}
}

func TestSamePython(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"base", "venv/bin", "other/bin"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	base := filepath.Join(dir, "base/python3")
	if err := os.WriteFile(base, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"venv/bin/python", "venv/bin/python3", "other/bin/python"} {
		if err := os.Symlink(base, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	running := filepath.Join(dir, "venv/bin/python")
	for given, want := range map[string]bool{
		"venv/bin/python": true, "venv/bin/python3": true, "venv": true,
		"other/bin/python": false, "base/python3": false, "venv/bin/none": false,
	} {
		if got := samePython(filepath.Join(dir, given), running); got != want {
			t.Errorf("%s: got %v, want %v", given, got, want)
		}
	}
}

func TestHelp(t *testing.T) {
	got := helpText("goasgi")
	for line := range strings.Lines(got) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	for _, g := range []string{"Application", "Sockets", "HTTP", "Timeouts and limits", "Logging"} {
		if !strings.Contains(got, "\n"+g+":\n") {
			t.Errorf("no group %s", g)
		}
	}
	for _, name := range strings.Fields(`--host --port --uds --fd --app-dir --factory --root-path --loop --lifespan --log-level
		--access-log --no-access-log --use-colors --no-use-colors --backlog --timeout-keep-alive --timeout-graceful-shutdown
		--limit-concurrency --header --server-header --no-server-header --date-header --no-date-header --version --help
		--cancel-on-disconnect --drain-idle --eager-tasks --no-eager-tasks --python`) {
		if !strings.Contains(got, name) {
			t.Errorf("no %s", name)
		}
	}
	const golden = "testdata/help.txt"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("--help has changed; if it should, go test ./cmd/cli -update\n%s", got)
	}
}

// TestHelpFirst checks that help answers whatever the environment says.
func TestHelpFirst(t *testing.T) {
	for _, argv := range []string{"--help", "-h", "a:app --help", "--port 1 -h"} {
		o, err := parse(strings.Fields(argv), env("GOASGI_PORT", "x"), program)
		if err != nil || !o.help {
			t.Errorf("%q: %v", argv, err)
		}
	}
}

// TestDefaultsInHelp checks that the defaults of --help are those of defaults.
func TestDefaultsInHelp(t *testing.T) {
	for _, g := range defaults().groups() {
		for _, p := range g.options {
			first, _, _ := strings.Cut(p.def, " ")
			switch v := p.value.(type) {
			case intValue:
				if p.def != "" && p.def != "none" {
					if was := *v.p; v.Set(first) != nil || *v.p != was {
						t.Errorf("--%s: default is %d, not %s", p.name, was, p.def)
					}
				}
			case durationValue:
				if was := *v.p; v.Set(first) != nil || *v.p != was {
					t.Errorf("--%s: default is %v, not %s", p.name, was, p.def)
				}
			case choiceValue:
				if was := *v.p; !p.hidden && was != p.def {
					t.Errorf("--%s: default is %s, not %s", p.name, was, p.def)
				}
			}
		}
	}
}

func TestBegin(t *testing.T) {
	for _, c := range []struct {
		argv           string
		status         int
		stdout, stderr string
	}{
		{"--help", 0, helpText("goasgi"), ""},
		{"--version", 0, versionText(Host{Program: "goasgi", Python: "CPython 3.13.0"}), ""},
		{"", exitUsage, "", "usage: goasgi APP [options]\ngoasgi: " + missingApp + " (goasgi --help lists the options)\n"},
		{"a:b --prot 1", exitUsage, "", "goasgi: unknown option --prot; did you mean --port? (goasgi --help lists the options)\n"},
	} {
		var out, errs strings.Builder
		o, status := begin(strings.Fields(c.argv), Host{Program: "goasgi", Python: "CPython 3.13.0"}, &out, &errs)
		if o != nil || status != c.status || out.String() != c.stdout || errs.String() != c.stderr {
			t.Errorf("%q: got %v, %d, %q, %q", c.argv, o, status, out.String(), errs.String())
		}
	}
	if v := versionText(Host{Program: "goasgi", Python: "CPython 3.13.0"}); !strings.HasPrefix(v, "goasgi "+Version+" (CPython 3.13.0, go1.") {
		t.Error(v)
	}
}
