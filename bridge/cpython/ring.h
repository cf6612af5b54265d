/* One direction of a link as one side sees it; ring.go is its twin. */
#ifndef GOASGI_RING_H
#define GOASGI_RING_H

#include "record.h"

/* A single-producer, single-consumer queue of records in shared memory, mapped
 * twice in a row so that every record is contiguous. Used with the GIL held, by
 * the worker's thread; REC_CONTROL also from other threads (with the GIL). */
typedef struct {
    uint8_t *data; /* 2 * size bytes */
    uint64_t size; /* a power of two */
    _Atomic uint64_t *tail;
    _Atomic uint64_t *head;
    _Atomic uint32_t *sleeps;
    _Atomic uint32_t *waits;
    uint64_t mine;   /* this side's own cursor */
    uint64_t theirs; /* the other side's, when it was last looked at */
} Ring;

/* The mapping of a link's memory. */
typedef struct {
    uint8_t *header;
    uint64_t size;   /* of a ring */
    bool in_process; /* the front is in this process */
    Ring in, out;
} Memory;

/* Maps the memory behind fd. Returns NULL, or what is wrong with it (errno is
 * set if it is the system's answer). */
const char *memory_map(Memory *m, int fd);
void memory_unmap(Memory *m);

static inline uint64_t
ring_align(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}

/* Room for a record of n bytes at the tail, or NULL. */
static inline void *
ring_reserve(Ring *r, uint64_t n)
{
    uint64_t need = ring_align(n);
    if (r->mine + need - r->theirs > r->size) {
        r->theirs = atomic_load_explicit(r->head, memory_order_acquire);
        if (r->mine - r->theirs > r->size || r->mine + need - r->theirs > r->size) {
            return NULL;
        }
    }
    return r->data + (r->mine & (r->size - 1));
}

/* Publishes the record of n bytes that ring_reserve made room for. */
static inline void
ring_commit(Ring *r, uint64_t n)
{
    r->mine += ring_align(n);
    atomic_store_explicit(r->tail, r->mine, memory_order_release);
}

/* Notes that the producer waits for room; false if room for n bytes has come. */
static inline bool
ring_wait_room(Ring *r, uint64_t n)
{
    atomic_store(r->waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    return ring_reserve(r, n) == NULL;
}

/* The bytes that may be read at the head; 0 if there are none, -1 if the
 * cursors contradict each other. */
static inline int64_t
ring_ready(Ring *r)
{
    if (r->theirs == r->mine) {
        r->theirs = atomic_load_explicit(r->tail, memory_order_acquire);
    }
    uint64_t n = r->theirs - r->mine;
    return n > r->size || n % 8 != 0 ? -1 : (int64_t)n;
}

static inline const Record *
ring_peek(const Ring *r)
{
    return (const Record *)(r->data + (r->mine & (r->size - 1)));
}

/* Frees the record of n bytes at the head. */
static inline void
ring_release(Ring *r, uint64_t n)
{
    r->mine += ring_align(n);
    atomic_store_explicit(r->head, r->mine, memory_order_release);
}

/* Announces sleep; false if a record has come meanwhile. */
static inline bool
ring_sleep(Ring *r)
{
    atomic_store(r->sleeps, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(r->tail, memory_order_acquire) != r->mine) {
        atomic_store_explicit(r->sleeps, 0, memory_order_relaxed);
        return false;
    }
    return true;
}

/* Whether flag (sleeps or waits) was set; takes it back. */
static inline bool
ring_take(_Atomic uint32_t *flag)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(flag, memory_order_relaxed) != 0 && atomic_exchange(flag, 0) != 0;
}

#endif
