/* Starting CPython inside the Go program. */
#ifndef GOASGI_EMBED_H
#define GOASGI_EMBED_H

#include <stddef.h>

/* "3.13.0", of the libpython that is linked in and loaded. */
const char *embed_version(void);

/* Starts the interpreter as executable would start (its prefix, its
 * site-packages), runs script with `data` as a global str of that name, and
 * returns the exit status that the script leaves in the global `status`. The
 * interpreter is not finalized: the process is about to exit. Returns -1 and
 * fills error (of size bytes) if the interpreter could not start. */
int embed_run(const char *executable, const char *script, const char *data, char *error, size_t size);

#endif
