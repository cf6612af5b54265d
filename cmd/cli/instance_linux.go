package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/goasgi/goasgi/bridge"
	"github.com/goasgi/goasgi/bridge/asgi"
	"github.com/goasgi/goasgi/server"
	"github.com/goasgi/goasgi/server/observe"
)

const (
	// lastBytes is how long Finish lets the loop go on writing what a worker
	// sent that has ended by itself.
	lastBytes = 250 * time.Millisecond
	// flushLimit bounds what a second signal may wait for: logs that nobody
	// reads must not hold it up.
	flushLimit = 250 * time.Millisecond
	// patience is how long a worker may take to end after its link broke.
	patience = 10 * time.Second
	// quiet is how long a stop may take before the log says what it waits for.
	quiet = 500 * time.Millisecond
	// loadWait is how long a stop waits for an application that is still being
	// loaded: its import may be stuck where Python cannot hear of the stop.
	loadWait = 5 * time.Second
)

// An Instance is a running server and what is around it.
type Instance struct {
	host   Host
	o      *options
	color  bool // of the log
	log    *observe.Logger
	access *observe.AccessLog // nil: none
	link   *bridge.Link
	server *server.Server
	worker []byte
	urls   []string

	// The actions of the owned signals before Start, and with Go's handler.
	// Not written after Start.
	before, ours map[syscall.Signal]sigaction
	notified     chan os.Signal // from the runtime to watch
	signals      chan os.Signal // from watch to supervise
	terminal     bool           // there was a controlling terminal, and HUP was not ignored

	stop    chan struct{} // capacity 1: stop as the first signal does
	drained chan struct{} // closed when server.Shutdown has returned
	finish  chan struct{} // closed by Finish: supervise ends
	done    chan struct{} // closed when supervise has ended
	deaf    chan struct{} // closed by Finish, last: watch ends
	unwatch chan struct{} // closed when watch has ended

	// taken has bit n set if the application has a handler of its own for
	// signal n. Supervise writes it.
	taken atomic.Uint64

	// The rest is supervise's own, and Finish's once done is closed.
	state   state
	status  int              // what the worker reported, or why the server ends
	ended   bool             // the worker said Failed or Stopped
	alone   bool             // and nobody had asked it to
	waiting <-chan time.Time // while draining: when to say what for
	stuck   <-chan time.Time // a stop during loading has waited long enough
}

// state is how far an instance has come; it only grows.
type state uint8

const (
	loading  state = iota // the worker loads the application; nothing is accepted
	serving               // the worker has said Started
	stopping              // draining, because somebody asked, or the worker has ended
)

// Start parses argv, which is without the program's name, and, unless it was
// --help, --version or a mistake, binds the sockets, starts the I/O loop over a
// new link and returns the running instance. Otherwise the instance is nil, and
// status is the exit status. Once it has an instance, the host runs a worker
// and then calls Finish.
func Start(argv []string, host Host, stdout, stderr *os.File) (i *Instance, status int) {
	if host.Program == "" {
		host.Program = "goasgi"
	}
	o, status := begin(argv, host, stdout, stderr)
	if o == nil {
		return nil, status
	}
	i, err := start(o, host, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", host.Program, err)
		return nil, exitFailure
	}
	return i, 0
}

func start(o *options, host Host, stdout, stderr *os.File) (_ *Instance, err error) {
	level, err := observe.ParseLevel(o.logLevel)
	if err != nil {
		return nil, err
	}
	i := &Instance{
		host: host, o: o, color: o.colored(stderr), log: observe.NewLogger(writerOf(stderr), level, o.colored(stderr)),
		before: make(map[syscall.Signal]sigaction), ours: make(map[syscall.Signal]sigaction),
		notified: make(chan os.Signal, 16), signals: make(chan os.Signal, 16),
		stop: make(chan struct{}, 1), drained: make(chan struct{}), finish: make(chan struct{}), done: make(chan struct{}),
		deaf: make(chan struct{}), unwatch: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			i.close()
		}
	}()
	if o.access && level <= observe.Info {
		i.access = observe.NewAccessLog(writerOf(stdout), o.colored(stdout))
	}
	if i.server, err = server.Bind(o.forServer(i.log, i.access)); err != nil {
		return nil, err
	}
	i.urls = i.server.URLs()
	if i.link, err = bridge.NewLink(); err != nil {
		return nil, err
	}
	if i.worker, err = json.Marshal(o.forWorker(host, i.link.Attach())); err != nil {
		return nil, err
	}
	if err = i.server.Start([]asgi.Port{i.link}); err != nil {
		return nil, err
	}
	if err = i.takeSignals(); err != nil {
		return nil, err
	}
	if o.http != "auto" {
		i.log.Debugf("--http %s has no effect: goasgi has one HTTP implementation", o.http)
	}
	go i.watch()
	go i.supervise()
	return i, nil
}

// colored tells whether the log on f is coloured.
func (o *options) colored(f *os.File) bool {
	if o.colors != nil {
		return *o.colors
	}
	// https://no-color.org: "when present and not an empty string (regardless
	// of its value), prevents the addition of ANSI color".
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func (o *options) forServer(log *observe.Logger, access *observe.AccessLog) server.Options {
	return server.Options{
		Host: o.host, Port: o.port, UDS: o.uds, FD: o.fd, Backlog: o.backlog,
		KeepAlive: orNone(o.keepAlive), DrainIdle: orNone(o.drainIdle), Grace: orNone(o.grace),
		LimitConcurrency: o.limitCalls, Headers: o.headers,
		NoServerHeader: !o.server, NoDateHeader: !o.date,
		AccessLog: access, Log: log,
	}
}

// orNone is d, or if that is 0, what means "not at all" in server.Options, where
// 0 stands for the default.
func orNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// workerConfig is what goasgi.worker.main reads.
type workerConfig struct {
	Link     bridge.Descriptors `json:"link"`
	App      string             `json:"app"`
	Factory  bool               `json:"factory"`
	AppDir   string             `json:"app_dir"`
	Loop     string             `json:"loop"`
	Lifespan string             `json:"lifespan"`
	RootPath string             `json:"root_path"`
	Eager    bool               `json:"eager"`
	Cancel   bool               `json:"cancel_on_disconnect"`
	LogLevel string             `json:"log_level"`
	Names    []string           `json:"header_names"`
	Argv0    string             `json:"argv0"`
}

func (o *options) forWorker(host Host, link bridge.Descriptors) workerConfig {
	return workerConfig{
		Link: link, App: o.name(host), Factory: o.factory, AppDir: o.appDir, Loop: o.loop, Lifespan: o.lifespan,
		RootPath: o.rootPath, Eager: o.eager, Cancel: o.cancel, LogLevel: o.logLevel,
		Names: asgi.KnownNames[:], Argv0: host.Program,
	}
}

// name is what messages call the application.
func (o *options) name(host Host) string {
	if host.App != "" {
		return host.App
	}
	return o.app
}

// Worker is the configuration of the worker, for goasgi.worker.main.
func (i *Instance) Worker() []byte { return i.worker }

// Python is what --python says, for a host that embeds; empty if nothing.
func (i *Instance) Python() string { return i.o.python }

// Stop begins to stop the server, as the first INT or TERM does. It may be
// called from any goroutine, and returns at once.
func (i *Instance) Stop() {
	select {
	case i.stop <- struct{}{}:
	default:
	}
}

// Stats is what the server counts; from any goroutine.
func (i *Instance) Stats() server.Stats { return i.server.Stats() }

// URLs is where the server listens, or will.
func (i *Instance) URLs() []string { return i.urls }

// Finish ends the instance after the worker has ended with that status, or
// could not be run at all. It returns the exit status.
func (i *Instance) Finish(status int) int {
	close(i.finish)
	<-i.done
	i.lastMessages(status)
	if i.access != nil {
		i.access.Close()
		i.access = nil
	}
	// A second signal works to the end, as a log may be stuck.
	close(i.deaf)
	<-i.unwatch
	i.close()
	if status != 0 {
		return status
	}
	return i.status
}

// lastMessages reads what a worker that has ended has left in the ring. The
// loop has ended, and supervise too: their things are Finish's now.
func (i *Instance) lastMessages(status int) {
	served, asked := i.state == serving, i.state == stopping && !i.alone
	if i.state == stopping {
		select {
		case <-i.drained:
		case <-time.After(lastBytes):
		}
	}
	i.state = stopping
	i.server.Close()
	for n := 1; n > 0; {
		n = i.link.Poll(nobody{}, 1000)
		for more := true; more; {
			select {
			case m := <-i.link.Messages():
				i.message(m)
			default:
				more = false
			}
		}
	}
	switch {
	case served && !i.ended && status == 0:
		i.log.Errorf("The worker has ended without a word")
		i.status = exitFailure
	case asked && status == 0 && i.status == 0:
		i.log.Infof("Stopped")
	}
}

// nobody takes events of calls whose connections are closed.
type nobody struct{}

func (nobody) Handle(*asgi.Event) {}

// close undoes what start did, as far as it came.
func (i *Instance) close() {
	if i.server != nil {
		i.server.Close()
	}
	if i.access != nil {
		i.access.Close()
	}
	i.giveSignals()
	if i.link != nil {
		i.link.Close()
	}
}

// takeSignals makes Go the owner of the signals.
func (i *Instance) takeSignals() error {
	for _, s := range owned {
		a, err := getAction(s)
		if err != nil {
			return fmt.Errorf("cli: signal %v: %w", s, err)
		}
		i.before[s] = a
	}
	if hup := i.before[syscall.SIGHUP]; !hup.ignores() {
		i.terminal = hasTerminal()
	}
	for _, s := range owned {
		signal.Notify(i.notified, s)
		a, err := getAction(s)
		if err != nil {
			return fmt.Errorf("cli: signal %v: %w", s, err)
		}
		i.ours[s] = a
	}
	return nil
}

// giveSignals gives the signals back as they were before takeSignals.
func (i *Instance) giveSignals() {
	signal.Stop(i.notified)
	for s, a := range i.before {
		setAction(s, &a)
	}
}

func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// watch passes signals on, except for the second INT or TERM, which ends the
// process whatever else goes on.
func (i *Instance) watch() {
	defer close(i.unwatch)
	asked := false
	for {
		select {
		case s := <-i.notified:
			n := s.(syscall.Signal)
			if n == syscall.SIGINT || n == syscall.SIGTERM {
				if asked {
					i.exit(128 + int(n))
				}
				asked = true
			}
			if i.taken.Load()&(1<<n) != 0 {
				i.link.Signal(int(n))
			}
			select {
			case i.signals <- s:
			default: // a flood of HUP; nothing is lost
			}
		case <-i.deaf:
			return
		}
	}
}

// exit ends the process now, after an attempt to write what is in the logs and
// to remove the Unix socket.
func (i *Instance) exit(status int) {
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		i.server.Close()
		if i.access != nil {
			i.access.Close()
		}
	}()
	select {
	case <-flushed:
	case <-time.After(flushLimit):
	}
	os.Exit(status)
}

// supervise follows the worker from its first message to its end.
func (i *Instance) supervise() {
	defer close(i.done)
	drained := i.drained
	for {
		select {
		case m := <-i.link.Messages():
			i.message(m)
		case s := <-i.signals:
			i.signal(s.(syscall.Signal))
		case <-i.stop:
			i.drain("")
		case <-drained:
			drained, i.waiting = nil, nil
			i.link.Stop()
		case <-i.waiting:
			i.waiting = nil
			if n := i.server.Stats().Calls; n > 0 {
				i.log.Infof("Waiting up to %v for requests that still run: %d (press CTRL+C to end at once)", i.o.grace, n)
			}
		case <-i.stuck:
			i.log.Errorf("The application is still being loaded %v after the stop; ending without it", loadWait)
			i.exit(128 + int(syscall.SIGTERM))
		case <-i.finish:
			return
		}
	}
}

func (i *Instance) message(m bridge.Message) {
	switch m.Kind {
	case bridge.Started:
		if i.state != loading {
			return // asked to stop meanwhile
		}
		i.state = serving
		if err := i.server.Accept(); err != nil {
			i.fail("%v", err)
			return
		}
		i.banner(m.Text)
	case bridge.Log:
		i.log.Log(observe.Level(m.Status), m.Text)
	case bridge.Failed, bridge.Stopped:
		i.workerEnded(m)
	case bridge.Stopping:
		i.drain("")
	case bridge.Signals:
		i.takeBack(uint64(m.Status))
	case bridge.Broken:
		i.fail("%s", m.Text)
		i.server.Close()
		// The worker cannot be heard any more; let it end if it still can.
		go func() {
			select {
			case <-i.finish:
			case <-time.After(patience):
				i.exit(exitFailure)
			}
		}()
		i.link.Stop()
	}
}

// workerEnded notes how the worker ended, and stops serving if nobody had asked.
func (i *Instance) workerEnded(m bridge.Message) {
	i.ended = true
	if i.status == 0 {
		i.status = m.Status
	}
	if m.Kind == bridge.Failed {
		if i.status == 0 && i.state != stopping {
			i.status = exitStartup
		}
		if m.Text != "" {
			i.log.Errorf("%s", m.Text)
		}
	}
	if i.state != serving {
		return
	}
	// It has said why in the log, as SystemExit out of the application.
	i.log.Debugf("The worker has ended by itself; shutting down")
	i.state, i.alone = stopping, true
	// What it has sent is still written; what it has not will never come.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	i.shutdown(ctx)
}

// fail stops everything for a reason of the server's own.
func (i *Instance) fail(format string, args ...any) {
	i.log.Criticalf(format, args...)
	i.status = exitFailure
	i.drain("")
}

// drain begins to stop, once.
func (i *Instance) drain(why string) {
	if i.state == stopping {
		return
	}
	if i.state == loading {
		why += ", once the application is loaded (press CTRL+C to end at once)"
		i.stuck = time.After(loadWait)
	}
	i.state = stopping
	i.log.Infof("Shutting down%s", why)
	i.waiting = time.After(quiet)
	i.shutdown(context.Background())
}

func (i *Instance) shutdown(ctx context.Context) {
	go func() {
		i.server.Shutdown(ctx)
		close(i.drained)
	}()
}

func (i *Instance) signal(s syscall.Signal) {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM:
		i.drain("")
	case syscall.SIGHUP:
		if i.terminal && !hasTerminal() {
			i.drain(" because the terminal is gone")
			return
		}
		fallthrough
	case syscall.SIGUSR2:
		if i.taken.Load()&(1<<s) != 0 {
			return // the application's own business
		}
		i.log.Warningf("%s ignored: reloading without a lost connection comes with worker processes, which this version "+
			"does not have; restart it to load new code", unix.SignalName(s))
	}
}

// takeBack takes signals back for which code in the worker has installed a
// handler of its own, and remembers to let that run as well.
func (i *Instance) takeBack(mask uint64) {
	for _, s := range owned {
		if mask&(1<<s) == 0 {
			continue
		}
		i.taken.Store(i.taken.Load() | 1<<s)
		ours := i.ours[s]
		if err := setAction(s, &ours); err != nil {
			i.log.Errorf("cli: %v cannot be taken back: %v", s, err)
			continue
		}
		i.log.Debugf("The application handles %s itself; its handler runs beside the server's", unix.SignalName(s))
	}
}

// banner says what runs where, and how to stop it.
func (i *Instance) banner(python string) {
	bold, link, end := "", "", ""
	if i.color {
		bold, link, end = "\x1b[1m", "\x1b[1;36m", "\x1b[0m"
	}
	i.log.Infof("Serving %s%s%s with %s", bold, i.o.name(i.host), end, python)
	for _, url := range i.urls {
		i.log.Infof("goasgi running on %s%s%s (Press CTRL+C to quit)", link, url, end)
	}
}
