package cpython

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// An Interpreter is a Python on disk whose environment Embed takes on.
type Interpreter struct {
	Executable string // absolute; not resolved, for the link in a virtual environment is what makes it one
	Version    string // such as "3.13.0"
}

// Find chooses the interpreter: choice if it is not empty (a path of an
// executable or of a virtual environment, or a name on PATH), else the one in
// $VIRTUAL_ENV, else python3 on PATH. It must be of the version that is linked
// in, major and minor.
func Find(choice string) (Interpreter, error) {
	executable, from, err := choose(choice)
	if err != nil {
		return Interpreter{}, err
	}
	i, err := ask(executable)
	if err != nil {
		return Interpreter{}, fmt.Errorf("cpython: %s (%s) does not run: %w", executable, from, err)
	}
	if linked := Version(); minor(i.Version) != minor(linked) {
		return Interpreter{}, fmt.Errorf("cpython: this goasgi is linked to libpython %s, and %s (%s) is Python %s; "+
			"expected Python %s: name one with --python, or install the goasgi wheel into that environment",
			linked, executable, from, i.Version, minor(linked))
	}
	return i, nil
}

func choose(choice string) (executable, from string, err error) {
	if choice != "" {
		from = "--python"
		if info, err := os.Stat(choice); err == nil && info.IsDir() {
			choice = filepath.Join(choice, "bin", "python")
		}
		executable, err = exec.LookPath(choice)
		if err != nil {
			return "", "", fmt.Errorf("cpython: no interpreter %q (--python): expected an executable, a virtual environment or a name on PATH", choice)
		}
	} else if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		from = "VIRTUAL_ENV"
		executable, err = exec.LookPath(filepath.Join(env, "bin", "python"))
		if err != nil {
			return "", "", fmt.Errorf("cpython: VIRTUAL_ENV is %s, and there is no bin/python in it", env)
		}
	} else {
		from = "python3 on PATH"
		executable, err = exec.LookPath("python3")
		if err != nil {
			return "", "", errors.New("cpython: no python3 on PATH: activate a virtual environment, or name an interpreter with --python")
		}
	}
	executable, err = filepath.Abs(executable)
	return executable, from, err
}

// ask runs the interpreter to learn its version and what it calls itself, which
// differs from the path for the shims of version managers.
func ask(executable string) (i Interpreter, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	const script = "import json,sys;print(json.dumps([sys.executable,'.'.join(map(str,sys.version_info[:3])),sys.implementation.name]))"
	cmd := exec.CommandContext(ctx, executable, "-I", "-S", "-c", script)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return i, fmt.Errorf("%w %s", err, strings.TrimSpace(stderr.String()))
	}
	var answer [3]string
	if err := json.Unmarshal(out, &answer); err != nil {
		return i, fmt.Errorf("unexpected answer %q", out)
	}
	if answer[2] != "cpython" {
		return i, fmt.Errorf("it is %s; expected CPython", answer[2])
	}
	return Interpreter{Executable: answer[0], Version: answer[1]}, nil
}

func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
