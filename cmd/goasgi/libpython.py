"""Runs a command, such as go build, so that cgo finds the libpython of this interpreter.

    python libpython.py go build ./cmd/goasgi
"""

import os
import sys
import sysconfig

name = f"python{sysconfig.get_config_var('LDVERSION')}"
directory = sysconfig.get_config_var("LIBDIR")
if not os.path.exists(f"{directory}/lib{name}.so"):
    sys.exit(
        f"{sys.executable} comes without lib{name}.so in {directory}, which the Go program needs: "
        f"Debian has it in lib{name}-dev, pyenv builds it with PYTHON_CONFIGURE_OPTS=--enable-shared"
    )
os.environ["CGO_CFLAGS"] = f"-O3 -g -I{sysconfig.get_path('include')}"
os.environ["CGO_LDFLAGS"] = f"-L{directory} -l{name} -Wl,-rpath,{directory}"
os.execvp(sys.argv[1], sys.argv[1:])
