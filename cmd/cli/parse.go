package cli

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
)

// envPrefix begins the name of the environment variable of every flag.
const envPrefix = "GOASGI_"

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// A usageError is a mistake in the command line or the environment. Its text
// has no prefix and may have a second line.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// parse reads the arguments, without the program's name, then the environment
// for flags that are not among them. With help or version set nothing else was
// checked.
func parse(argv []string, lookup func(string) (string, bool), host Host) (*options, error) {
	o := defaults()
	groups := o.groups()
	fs := pflag.NewFlagSet(host.Program, pflag.ContinueOnError)
	fs.Usage = func() {}
	add := func(name string, v value, isSwitch bool) {
		short := ""
		if name == "help" {
			short = "h"
		}
		f := fs.VarPF(v, name, short, "")
		if isSwitch {
			f.NoOptDefVal = "true"
		}
	}
	for _, g := range groups {
		for _, p := range g.options {
			add(p.name, p.value, p.arg == "")
			if p.pair {
				add("no-"+p.name, boolNot(p.value.(boolValue)), true)
			}
		}
	}
	if err := fs.Parse(argv); err != nil {
		return nil, explain(err, groups)
	}
	if o.help || o.version {
		return o, nil
	}
	if err := fromEnvironment(fs, groups, lookup); err != nil {
		return nil, err
	}
	var err error
	if o.app, err = appOf(fs.Args(), lookup, host); err != nil {
		return nil, err
	}
	return o, o.check(fs, host)
}

// explain turns an error of pflag into one that says what was expected.
func explain(err error, groups []group) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(unknown, groups)
	case errors.As(err, &missing):
		return usagef("--%s needs a value: %s", missing.GetFlag().Name, missing.GetFlag().Value.Type())
	case errors.As(err, &invalid):
		name := invalid.GetFlag().Name
		if name == "workers" {
			return usagef("--workers %s: this version has one worker; start several servers behind a proxy meanwhile", invalid.GetValue())
		}
		return usagef("invalid value %q for --%s: %v", invalid.GetValue(), name, invalid.Unwrap())
	case errors.As(err, &syntax):
		return usagef("%q is not an option; a name was expected behind the dashes", syntax.GetSpecifiedFlag())
	}
	return usageError(err.Error())
}

func unknownFlag(e *pflag.NotExistError, groups []group) error {
	name := e.GetSpecifiedName()
	dashed := "--" + name
	if short := e.GetSpecifiedShortnames(); short != "" {
		name = short[:1]
		dashed = "-" + name
	}
	if what, ok := later[name]; ok {
		return usagef("%s: this version does not have %s", dashed, what)
	}
	if here, ok := elsewhere[name]; ok {
		return usagef("unknown option %s; it is %s here", dashed, here)
	}
	var names []string
	for _, g := range groups {
		for _, p := range g.options {
			if p.hidden {
				continue
			}
			names = append(names, p.name)
			if p.pair {
				names = append(names, "no-"+p.name)
			}
		}
	}
	var begin []string
	for _, n := range names {
		if strings.HasPrefix(n, strings.ReplaceAll(name, "_", "-")) {
			begin = append(begin, "--"+n)
		}
	}
	if len(begin) > 0 && len(begin) <= 3 {
		return usagef("unknown option %s; did you mean %s?", dashed, strings.Join(begin, " or "))
	}
	if near := nearest(name, names); near != "" {
		return usagef("unknown option %s; did you mean --%s?", dashed, near)
	}
	return usagef("unknown option %s", dashed)
}

// fromEnvironment sets the flags that the command line did not.
func fromEnvironment(fs *pflag.FlagSet, groups []group, lookup func(string) (string, bool)) error {
	for _, g := range groups {
		for _, p := range g.options {
			given := fs.Changed(p.name) || p.pair && fs.Changed("no-"+p.name)
			if given || p.name == "help" || p.name == "version" {
				continue
			}
			names := []string{p.name}
			if p.pair {
				names = append(names, "no-"+p.name)
			}
			for _, name := range names {
				s, ok := lookup(envName(name))
				if !ok || s == "" {
					continue
				}
				if err := fs.Lookup(name).Value.Set(s); err != nil {
					return usagef("invalid value %q in %s: %v", s, envName(name), err)
				}
			}
		}
	}
	for name, what := range later {
		if s, ok := lookup(envName(name)); ok && s != "" {
			return usagef("%s is set, but this version does not have %s", envName(name), what)
		}
	}
	return nil
}

// appOf finds APP among the arguments that are not flags.
func appOf(args []string, lookup func(string) (string, bool), host Host) (string, error) {
	if host.App != "" {
		if len(args) > 0 {
			return "", usagef("expected options only, as the application is given already, got %q", args[0])
		}
		return "", nil
	}
	if len(args) == 0 {
		if s, ok := lookup(envName("app")); ok && s != "" {
			args = []string{s}
		}
	}
	switch len(args) {
	case 0:
		return "", usageError(missingApp)
	case 1:
		return args[0], checkApp(args[0])
	}
	for _, a := range args[1:] {
		switch strings.ToLower(a) {
		case "true", "false", "yes", "no", "on", "off", "0", "1":
			return "", usagef("%q is too much: a switch has no value; it is turned off with --no-NAME", a)
		}
	}
	return "", usagef("expected one APP, got %d: %s", len(args), strings.Join(args, " and "))
}

// missingApp is the error without APP; report writes the usage line before it.
const missingApp = "APP is missing: module:attribute of an ASGI application, for example main:app"

// checkApp refuses an APP that cannot be meant. Whether the module and the
// attribute exist is known only when the worker imports them.
func checkApp(app string) error {
	module, attribute, colon := strings.Cut(app, ":")
	file := strings.TrimSuffix(module, ".py")
	switch {
	case file != module || strings.Contains(module, "/"):
		dir, name := path.Split(file)
		if name == "" { // a directory
			return usagef("APP is module:attribute, for example main:app, got the directory %q", app)
		}
		if attribute == "" {
			attribute = "app"
		}
		// A directory is a package's if it says so; else it belongs into sys.path.
		dir = strings.TrimSuffix(strings.TrimPrefix(dir, "./"), "/")
		hint := name + ":" + attribute
		if dir != "" && !path.IsAbs(dir) && !strings.HasPrefix(dir, "..") && isFile(filepath.Join(dir, "__init__.py")) {
			hint = strings.ReplaceAll(dir, "/", ".") + "." + hint
		} else if dir != "" {
			hint += " --app-dir " + dir
		}
		return usagef("APP is module:attribute, got the path %q; did you mean %s?", app, hint)
	case module == "":
		return usagef("APP is module:attribute, for example main:app, got %q without a module", app)
	case colon && attribute == "":
		return usagef("APP is module:attribute, for example main:app, got %q without an attribute", app)
	case strings.Contains(attribute, ":"):
		return usagef("APP is module:attribute, for example main:app, got %q with two colons", app)
	case strings.ContainsAny(app, " \t\r\n"):
		return usagef("APP is module:attribute, for example main:app, got %q with white space", app)
	}
	return nil
}

func isFile(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode().IsRegular()
}

// check looks for flags that contradict each other or the host.
func (o *options) check(fs *pflag.FlagSet, host Host) error {
	if o.uds != "" && o.fd != 0 {
		return usageError("--uds and --fd: expected one of them")
	}
	if o.python != "" && !host.Embedded && !samePython(o.python, host.Executable) {
		running := host.Executable
		if running == "" {
			running = "another one"
		}
		return usagef("--python %s: this is the package installed for %s, which cannot run another Python; "+
			"install it for that one, or use the Go program", o.python, running)
	}
	for _, h := range o.headers {
		switch string(h.Name) {
		case "server":
			o.server = false
		case "date":
			o.date = false
		}
	}
	return nil
}

// samePython tells whether two paths name one interpreter of one environment. A
// virtual environment's python is a link to the base one, so it is the
// directories that must be the same, and the files behind the links.
func samePython(a, b string) bool {
	if b == "" {
		return false
	}
	if st, err := os.Stat(a); err == nil && st.IsDir() {
		a = filepath.Join(a, "bin", "python")
	}
	da, errA := filepath.EvalSymlinks(filepath.Dir(a))
	db, errB := filepath.EvalSymlinks(filepath.Dir(b))
	if errA != nil || errB != nil {
		return false
	}
	da, _ = filepath.Abs(da)
	db, _ = filepath.Abs(db)
	sa, errA := os.Stat(a)
	sb, errB := os.Stat(b)
	return errA == nil && errB == nil && da == db && os.SameFile(sa, sb)
}
