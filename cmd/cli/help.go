package cli

import (
	"fmt"
	"strings"
)

const (
	helpWidth  = 100
	helpColumn = 36     // where the explanations begin
	noBreak    = "\x00" // a blank at which writeEntry does not break the line
)

func usageLine(program string) string { return "usage: " + program + " APP [options]\n" }

// helpText is what --help prints.
func helpText(program string) string {
	var b strings.Builder
	b.WriteString(usageLine(program))
	b.WriteString(`
Serves the ASGI application APP, given as module:attribute, for example main:app or main:web.app.
Without an attribute it is app, or application.
`)
	for _, g := range defaults().groups() {
		if g.title == "" {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", g.title)
		for _, p := range g.options {
			left := "  --" + p.name
			switch {
			case p.name == "help":
				left = "  -h, --help"
			case p.pair:
				left += ", --no-" + p.name
			case p.arg != "":
				left += " " + p.arg
			}
			text := p.help
			if p.def != "" {
				text += " [default:" + noBreak + strings.ReplaceAll(p.def, " ", noBreak) + "]"
			}
			writeEntry(&b, left, text)
		}
	}
	b.WriteString(`
SECONDS is a number such as 30 or 2.5, or has a unit: 500ms, 1m.
Every option may also come from the environment: --log-level as GOASGI_LOG_LEVEL, a switch as 1 or
0, APP as GOASGI_APP, several headers on a line each. The command line goes first.

Signals: INT (CTRL+C) and TERM let running requests end and stop; a second one stops at once.
Exit status: 0 stopped as asked, 2 wrong usage, 3 the application could not start, 1 anything else.
`)
	return b.String()
}

// writeEntry writes an option and its explanation in two columns.
func writeEntry(b *strings.Builder, left, text string) {
	b.WriteString(left)
	at := len(left)
	if at > helpColumn-2 {
		b.WriteByte('\n')
		at = 0
	}
	line := helpColumn
	for i, word := range strings.Fields(text) {
		if i > 0 && line+1+len(word) > helpWidth {
			b.WriteByte('\n')
			at, line = 0, helpColumn
		}
		if at < helpColumn {
			b.WriteString(strings.Repeat(" ", helpColumn-at))
			at = helpColumn
		} else {
			b.WriteByte(' ')
			line++
		}
		b.WriteString(strings.ReplaceAll(word, noBreak, " "))
		line += len(word)
	}
	b.WriteByte('\n')
}
