#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void
ring_init(Ring *r, uint8_t *cursors, uint8_t *data, uint64_t size)
{
    r->data = data;
    r->size = size;
    r->tail = (_Atomic uint64_t *)(cursors + CURSOR_TAIL);
    r->head = (_Atomic uint64_t *)(cursors + CURSOR_HEAD);
    r->sleeps = (_Atomic uint32_t *)(cursors + CURSOR_SLEEPS);
    r->waits = (_Atomic uint32_t *)(cursors + CURSOR_WAITS);
    r->mine = r->theirs = 0;
}

/* A ring mapped twice in a row; MAP_FAILED if the system refuses. Forked
 * children do not inherit it: they could only disturb it. */
static uint8_t *
map_twice(int fd, off_t offset, size_t size)
{
    uint8_t *base = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) {
        return MAP_FAILED;
    }
    for (int half = 0; half < 2; half++) {
        if (mmap(base + half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) == MAP_FAILED) {
            int failed = errno;
            munmap(base, 2 * size);
            errno = failed;
            return MAP_FAILED;
        }
    }
    madvise(base, 2 * size, MADV_DONTFORK);
    return base;
}

const char *
memory_map(Memory *m, int fd)
{
    memset(m, 0, sizeof(*m));
    struct stat st;
    errno = 0;
    if (fstat(fd, &st) != 0) {
        return "the link's memory descriptor is not open";
    }
    uint8_t *header =
        st.st_size < RINGS_OFFSET ? MAP_FAILED : mmap(NULL, RINGS_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (header == MAP_FAILED) {
        return "the link's memory cannot be mapped";
    }
    madvise(header, RINGS_OFFSET, MADV_DONTFORK);
    uint64_t magic, size, process;
    memcpy(&magic, header + OFF_MAGIC, sizeof(magic));
    memcpy(&size, header + OFF_SIZE, sizeof(size));
    memcpy(&process, header + OFF_PROCESS, sizeof(process));
    if (magic != LAYOUT_MAGIC || size < 4 * MAX_RECORD || size > (UINT64_C(1) << 30) || (size & (size - 1)) != 0 ||
        (uint64_t)st.st_size != RINGS_OFFSET + 2 * size) {
        munmap(header, RINGS_OFFSET);
        return "the link's memory was laid out by another version of goasgi";
    }
    m->header = header;
    m->size = size;
    m->in_process = process == (uint64_t)getpid();
    uint8_t *in = map_twice(fd, RINGS_OFFSET, size);
    uint8_t *out = in == MAP_FAILED ? MAP_FAILED : map_twice(fd, RINGS_OFFSET + (off_t)size, size);
    if (out == MAP_FAILED) {
        if (in != MAP_FAILED) {
            munmap(in, 2 * size);
        }
        munmap(header, RINGS_OFFSET);
        m->header = NULL;
        return "the link's rings cannot be mapped";
    }
    ring_init(&m->in, header + OFF_IN, in, size);
    ring_init(&m->out, header + OFF_OUT, out, size);
    return NULL;
}

void
memory_unmap(Memory *m)
{
    if (m->header != NULL) {
        munmap(m->in.data, 2 * m->size);
        munmap(m->out.data, 2 * m->size);
        munmap(m->header, RINGS_OFFSET);
        m->header = NULL;
    }
}
