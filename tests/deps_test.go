// Package tests holds the tests of the whole: here, which package may import
// which, and what no committed file may name.
package tests

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/goasgi/goasgi"

// allowed lists, for a package and all below it, which other packages of the
// module it may import, test files included. The longest prefix counts.
// An entry stands for the package and all below it if it ends with "/...".
var allowed = map[string][]string{
	"bridge/asgi":    {"bridge/asgi/..."},
	"bridge":         {"bridge/...", "python"}, // python: nothing but the embedded files of the Python package
	"server":         {"server/...", "bridge/asgi/..."},
	"cmd/cli":        {"server/...", "bridge/..."},
	"cmd":            {"cmd/...", "server/...", "bridge/...", "python"},
	"python":         {},
	"python/control": {"cmd/cli/..."},
	"tests":          {"server/...", "bridge/...", "cmd/cli/..."},
}

// only lists who may import packages of others; the importers are files if
// they end with ".go", else packages and all below them.
var only = map[string][]string{
	"github.com/gorilla/websocket": {"server/websocket.go", "server/websocket_test.go", "server/hub"},
	"github.com/spf13/pflag":       {"cmd/cli"},
	"C":                            {"bridge/cpython"},
}

// standard lists packages that import nothing but the standard library and
// each other.
var standard = []string{"bridge/asgi", "server/http1"}

func TestImports(t *testing.T) {
	root := root(t)
	seen := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		if entry.IsDir() {
			if base := entry.Name(); rel != "." && (strings.HasPrefix(base, ".") || base == "testdata" || rel == "build") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			check(t, filepath.ToSlash(rel), imported)
		}
		seen++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("only %d Go files were found below %s", seen, root)
	}
}

// check reports an import that the arrows do not allow.
func check(t *testing.T, file, imported string) {
	t.Helper()
	pkg := path.Dir(file)
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	if isOurs && !matches(ours, allowed[longest(pkg)]) && ours != pkg {
		t.Errorf("%s imports %s; %s may import %s of this module", file, ours, longest(pkg), strings.Join(allowed[longest(pkg)], ", "))
	}
	for dependency, importers := range only {
		if imported != dependency && !strings.HasPrefix(imported, dependency+"/") {
			continue
		}
		ok := false
		for _, importer := range importers {
			ok = ok || file == importer || below(pkg, importer)
		}
		if !ok {
			t.Errorf("%s imports %s, which only %s may", file, imported, strings.Join(importers, ", "))
		}
	}
	for _, own := range standard {
		foreign := strings.Contains(strings.Split(imported, "/")[0], ".") && !isOurs
		if pkg == own && foreign {
			t.Errorf("%s imports %s; %s is for the standard library only", file, imported, own)
		}
	}
}

// longest is the key of allowed that applies to pkg.
func longest(pkg string) string {
	found := ""
	for key := range allowed {
		if below(pkg, key) && len(key) > len(found) {
			found = key
		}
	}
	return found
}

func below(pkg, parent string) bool { return pkg == parent || strings.HasPrefix(pkg, parent+"/") }

func matches(pkg string, list []string) bool {
	for _, entry := range list {
		if parent, all := strings.CutSuffix(entry, "/..."); all && below(pkg, parent) || pkg == entry {
			return true
		}
	}
	return false
}

// TestServerNeedsNoC builds the server without cgo.
func TestServerNeedsNoC(t *testing.T) {
	cmd := exec.Command("go", "build", "./server/...", "./bridge", "./bridge/asgi/...")
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestBridgeExportsNothing: no Go function is exported to C.
func TestBridgeExportsNothing(t *testing.T) {
	for _, name := range committed(t) {
		if !strings.HasPrefix(name, "bridge/") || !strings.HasSuffix(name, ".go") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("\n//export ")) {
			t.Errorf("%s exports a Go function to C", name)
		}
	}
}

// TestNoPathsOfOneMachine: no committed file names a path of the machine that
// it was written on, or an address of a package registry there.
func TestNoPathsOfOneMachine(t *testing.T) {
	names := regexp.MustCompile(`(^|[^\w.$])/` + `(root|home/\w+|Users/\w+)/|\bindex-url\b|\bGOPROXY=|\bregistry *=`)
	for _, name := range committed(t) {
		if name == "go.sum" || name == "tests/deps_test.go" || strings.Contains(name, "/testdata/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root(t), name))
		if os.IsNotExist(err) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(data, 0) >= 0 {
			continue
		}
		for number, line := range strings.Split(string(data), "\n") {
			if names.MatchString(line) {
				t.Errorf("%s:%d names a path of one machine or a registry's setting: %s", name, number+1, line)
			}
		}
	}
}

// committed lists the files that Git has or would take. Without Git, as in a
// source archive, it lists all files that are not made.
func committed(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root(t)
	if out, err := cmd.Output(); err == nil {
		return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	}
	var found []string
	for _, top := range []string{"bridge", "cmd", "server", "python", "tests", "examples"} {
		_ = filepath.WalkDir(filepath.Join(root(t), top), func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && !strings.Contains(name, "__pycache__") {
				rel, _ := filepath.Rel(root(t), name)
				found = append(found, filepath.ToSlash(rel))
			}
			return nil
		})
	}
	return found
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}
