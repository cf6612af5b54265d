package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server"
)

// childVariable makes the test binary a server without a worker, whose
// arguments are the variable's fields, and which stops at the end of its
// standard input.
const childVariable = "CLI_TEST_CHILD"

func TestMain(m *testing.M) {
	if argv, ok := os.LookupEnv(childVariable); ok {
		i, status := Start(strings.Fields(argv), Host{}, os.Stdout, os.Stderr)
		if i == nil {
			os.Exit(status)
		}
		os.Stdout.WriteString("ready\n")
		io.Copy(io.Discard, os.Stdin)
		i.Stop()
		<-i.drained
		os.Exit(i.Finish(0))
	}
	os.Exit(m.Run())
}

// capture returns a file for standard error and a function that closes it and
// returns what was written.
func capture(t *testing.T) (*os.File, func() string) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	return f, func() string {
		f.Close()
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

// TestStartFinish starts an instance whose worker never comes.
func TestStartFinish(t *testing.T) {
	before := make(map[syscall.Signal]sigaction)
	for _, s := range owned {
		before[s], _ = getAction(s)
	}
	stderr, written := capture(t)
	i, status := Start(strings.Fields("shop:app --port 0 --loop asyncio --root-path /x --no-eager-tasks --factory --app-dir src"),
		Host{Program: "goasgi"}, os.Stdout, stderr)
	if i == nil {
		t.Fatalf("status %d: %s", status, written())
	}
	var got map[string]any
	if err := json.Unmarshal(i.Worker(), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"app": "shop:app", "factory": true, "app_dir": "src", "loop": "asyncio", "lifespan": "auto", "root_path": "/x",
		"eager": false, "cancel_on_disconnect": false, "log_level": "info", "argv0": "goasgi",
	} {
		if got[key] != want {
			t.Errorf("worker %s: got %v, want %v", key, got[key], want)
		}
	}
	if names := got["header_names"].([]any); len(names) != len(asgi.KnownNames) || names[0] != "" || names[1] != "host" {
		t.Errorf("worker header_names: %v", names)
	}
	for _, fd := range []string{"memory", "worker", "front"} {
		if n := got["link"].(map[string]any)[fd].(float64); n < 3 {
			t.Errorf("worker link %s: %v", fd, n)
		}
	}
	urls := i.URLs()
	if len(urls) != 1 || !strings.HasPrefix(urls[0], "http://127.0.0.1:") || strings.HasSuffix(urls[0], ":0") {
		t.Fatalf("URLs %q", urls)
	}
	address := strings.TrimPrefix(urls[0], "http://")
	if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("before the application has started connections must be refused, got %v, %v", c, err)
	}
	if status := i.Finish(3); status != 3 {
		t.Errorf("status %d", status)
	}
	for _, s := range owned {
		if now, _ := getAction(s); now != before[s] {
			t.Errorf("%v: the action before was %+v, now it is %+v", s, before[s], now)
		}
	}
	if text := written(); text != "" {
		t.Errorf("log: %s", text)
	}
}

// TestForServer checks what the options become for the server, where 0 and
// false mean something else.
func TestForServer(t *testing.T) {
	o, err := parse(strings.Fields("shop:app --host ::1 --port 81 --timeout-keep-alive 0 --timeout-graceful-shutdown 2 --drain-idle 0.5 "+
		"--limit-concurrency 7 --no-date-header --header x-a:1 --backlog 9"), env(), program)
	if err != nil {
		t.Fatal(err)
	}
	want := server.Options{
		Host: "::1", Port: 81, KeepAlive: -1, Grace: 2 * time.Second, DrainIdle: 500 * time.Millisecond,
		LimitConcurrency: 7, Backlog: 9, NoDateHeader: true,
		Headers: []asgi.Header{{Name: []byte("x-a"), Value: []byte("1")}},
	}
	if got := o.forServer(nil, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestAccessLogLevel checks that the access log is at level info, as in uvicorn.
func TestAccessLogLevel(t *testing.T) {
	for argv, want := range map[string]bool{
		"": true, "--log-level debug": true, "--log-level warning": false, "--no-access-log": false, "--no-access-log --log-level trace": false,
	} {
		stderr, written := capture(t)
		i, status := Start(append(strings.Fields("shop:app --port 0"), strings.Fields(argv)...), Host{}, os.Stdout, stderr)
		if i == nil {
			t.Fatalf("status %d: %s", status, written())
		}
		if got := i.access != nil; got != want {
			t.Errorf("%q: got %v, want %v", argv, got, want)
		}
		i.Finish(0)
	}
}

// TestColors checks when the log on a file that is no terminal is coloured.
func TestColors(t *testing.T) {
	f, _ := capture(t)
	for argv, want := range map[string]bool{"a:b": false, "a:b --use-colors": true, "a:b --no-use-colors": false} {
		if got := mustParse(t, env(), strings.Fields(argv)...).colored(f); got != want {
			t.Errorf("%q: got %v, want %v", argv, got, want)
		}
	}
}

// TestStopWhileLoading asks for the end before the application has started.
func TestStopWhileLoading(t *testing.T) {
	stderr, written := capture(t)
	i, status := Start([]string{"shop:app", "--port", "0", "--no-use-colors"}, Host{}, os.Stdout, stderr)
	if i == nil {
		t.Fatalf("status %d: %s", status, written())
	}
	i.Stop()
	<-i.drained
	if status := i.Finish(0); status != 0 {
		t.Errorf("status %d", status)
	}
	if text := written(); !strings.HasPrefix(text, "INFO:     Shutting down, once the application is loaded") ||
		!strings.HasSuffix(text, "INFO:     Stopped\n") {
		t.Errorf("log: %s", text)
	}
}

// TestBindErrors checks that what the server says about its sockets is printed.
func TestBindErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for argv, want := range map[string]string{
		"--port " + port: "127.0.0.1:" + port,
		"--uds " + file:  file,
	} {
		stderr, written := capture(t)
		i, status := Start(append([]string{"shop:app"}, strings.Fields(argv)...), Host{}, os.Stdout, stderr)
		text := written()
		if i != nil || status != exitFailure || !strings.Contains(text, want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: status %d: %s", argv, status, text)
		}
	}
}

// A child is the test binary as a server without a worker.
type child struct {
	cmd         *exec.Cmd
	stdin       io.Closer
	stderr      *bufio.Reader
	closeStderr func() error
}

// newChild returns a child that is ready for signals.
func newChild(t *testing.T, argv string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+argv)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	c := &child{cmd, in, bufio.NewReader(errs), errs.Close}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		rest, _ := io.ReadAll(c.stderr)
		t.Fatalf("got %q, %v: %s", line, err, rest)
	}
	return c
}

// TestSecondSignal checks that the process ends at a second signal although its
// worker does not.
func TestSecondSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		uds := filepath.Join(t.TempDir(), "s")
		c := newChild(t, "shop:app --uds "+uds)
		c.cmd.Process.Signal(sig)
		if line, err := c.stderr.ReadString('\n'); !strings.Contains(line, "Shutting down") {
			t.Fatalf("got %q, %v", line, err)
		}
		c.cmd.Process.Signal(sig)
		c.cmd.Wait()
		if got := c.cmd.ProcessState.ExitCode(); got != 128+int(sig) {
			t.Errorf("%v: exit status %d", sig, got)
		}
		if _, err := os.Stat(uds); !os.IsNotExist(err) {
			t.Errorf("the Unix socket is still there: %v", err)
		}
	}
}

// TestReloadSignals checks that HUP and USR2 are answered with a line.
func TestReloadSignals(t *testing.T) {
	c := newChild(t, "shop:app --port 0")
	for sig, name := range map[syscall.Signal]string{syscall.SIGHUP: "SIGHUP", syscall.SIGUSR2: "SIGUSR2"} {
		c.cmd.Process.Signal(sig)
		if line, err := c.stderr.ReadString('\n'); !strings.HasPrefix(line, "WARNING:  "+name+" ignored") {
			t.Errorf("%v: got %q, %v", sig, line, err)
		}
	}
}

// TestBrokenLog checks that a server outlives the reader of its log.
func TestBrokenLog(t *testing.T) {
	c := newChild(t, "shop:app --port 0")
	c.closeStderr()
	c.stdin.Close()
	c.cmd.Wait()
	if got := c.cmd.ProcessState.ExitCode(); got != 0 {
		t.Errorf("exit status %d (%v)", got, c.cmd.ProcessState)
	}
}
