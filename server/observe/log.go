package observe

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
)

// A Level is the weight of a line, in the numbers of Python's logging.
type Level int

const (
	Trace    Level = 5
	Debug    Level = 10
	Info     Level = 20
	Warning  Level = 30
	Error    Level = 40
	Critical Level = 50
)

var levels = []struct {
	level  Level
	name   string
	upper  string
	colour string
}{
	{Critical, "critical", "CRITICAL", "\x1b[91m"},
	{Error, "error", "ERROR", "\x1b[31m"},
	{Warning, "warning", "WARNING", "\x1b[33m"},
	{Info, "info", "INFO", "\x1b[32m"},
	{Debug, "debug", "DEBUG", "\x1b[36m"},
	{Trace, "trace", "TRACE", "\x1b[34m"},
}

// reset ends every colour.
const reset = "\x1b[0m"

// ParseLevel returns the level of that name, in any case.
func ParseLevel(name string) (Level, error) {
	names := make([]string, len(levels))
	for i, l := range levels {
		if strings.EqualFold(l.name, name) {
			return l.level, nil
		}
		names[i] = l.name
	}
	return 0, fmt.Errorf("observe: unknown log level %q, expected one of %s", name, strings.Join(names, ", "))
}

// String returns the level's name in lower case.
func (l Level) String() string {
	for _, e := range levels {
		if e.level == l {
			return e.name
		}
	}
	return fmt.Sprintf("level %d", int(l))
}

// appendPrefix appends the level's name, a colon, and blanks up to the column
// where the text of every line begins.
func appendPrefix(b []byte, level Level, color bool) []byte {
	name, colour := "INFO", ""
	// A level between two names goes by the lower one, as numbers of an
	// application's own may come.
	for _, e := range levels {
		if level >= e.level || e.level == Trace {
			name, colour = e.upper, e.colour
			break
		}
	}
	if color {
		b = append(b, colour...)
		b = append(b, name...)
		b = append(b, reset...)
	} else {
		b = append(b, name...)
	}
	b = append(b, ':')
	for i := len(name); i < len("CRITICAL "); i++ {
		b = append(b, ' ')
	}
	return b
}

// A Logger writes lines such as "INFO:     text" to a writer, each with one
// call of Write. Its methods may be called by any goroutine; those of a nil
// Logger do nothing.
type Logger struct {
	level atomic.Int64
	color bool

	mu  sync.Mutex
	w   io.Writer // written to with mu held
	buf []byte    // with mu held
}

// NewLogger returns a Logger that writes lines of level and above to w. color
// tells whether the level's name is coloured.
func NewLogger(w io.Writer, level Level, color bool) *Logger {
	l := &Logger{w: w, color: color}
	l.level.Store(int64(level))
	return l
}

// Enabled tells whether lines of that level are written.
func (l *Logger) Enabled(level Level) bool {
	return l != nil && int64(level) >= l.level.Load()
}

// Log writes a line of that level. A text of several lines stays as it is, its
// first line behind the prefix.
func (l *Logger) Log(level Level, text string) {
	if !l.Enabled(level) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = appendPrefix(l.buf[:0], level, l.color)
	l.buf = append(l.buf, strings.TrimSuffix(text, "\n")...)
	l.buf = append(l.buf, '\n')
	// There is nowhere to report that the log cannot be written.
	_, _ = l.w.Write(l.buf)
	if cap(l.buf) > 64<<10 {
		l.buf = nil
	}
}

func (l *Logger) logf(level Level, format string, args []any) {
	if l.Enabled(level) {
		l.Log(level, fmt.Sprintf(format, args...))
	}
}

// Tracef writes a line of level trace.
func (l *Logger) Tracef(format string, args ...any) { l.logf(Trace, format, args) }

// Debugf writes a line of level debug.
func (l *Logger) Debugf(format string, args ...any) { l.logf(Debug, format, args) }

// Infof writes a line of level info.
func (l *Logger) Infof(format string, args ...any) { l.logf(Info, format, args) }

// Warningf writes a line of level warning.
func (l *Logger) Warningf(format string, args ...any) { l.logf(Warning, format, args) }

// Errorf writes a line of level error.
func (l *Logger) Errorf(format string, args ...any) { l.logf(Error, format, args) }

// Criticalf writes a line of level critical.
func (l *Logger) Criticalf(format string, args ...any) { l.logf(Critical, format, args) }
