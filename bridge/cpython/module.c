/* goasgi._bridge: the C half of the bridge, a CPython extension module without
 * a line of Go in it. It is built twice: into the Go program (cgo, embed.go),
 * and as a plain extension for the wheel, where the same file serves the
 * interpreter that the user started and worker processes.
 *
 * Life of a request
 *
 * drain() runs on the event loop, when the front has written into the worker's
 * eventfd or drain() has asked for another turn. It reads the records of the in
 * ring. An open record becomes a scope dict (convert.c) and a call (call.c); the
 * record is released; then the application runs in an eager task. Its receive()
 * and send() (step.c) read from the call and write into the out ring, and wake
 * the front if it has said that it sleeps. When the coroutine has ended an end
 * record follows and the call leaves the table.
 *
 * Who owns what until when
 *
 * A record of the in ring is read before any Python code runs, and released. A
 * record of the out ring is written and committed in one go. Memory that is
 * neither a Python object nor the mapping is the head of a response (malloc in
 * head_from_message, freed when it is sent or the call ends) and the table of
 * calls (freed with the link). call.c tells about references.
 *
 * Bounds
 *
 * drain() goes back to the loop after DRAIN_NS, so that timers and other I/O of
 * the application run on time. A call holds at most WINDOW bytes of request
 * body. What the front must be told while the ring is full is a few bits in each
 * call, and the ring is tried again when the front has made room.
 *
 * Forks
 *
 * The rings are not mapped in a forked child (MADV_DONTFORK); every entry point
 * checks a flag that pthread_atfork sets there, and raises RuntimeError.
 */
#define _GNU_SOURCE
#include "bridge.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { STARTED = 1, FAILED, STOPPED, LOG, SIGNALS, BROKEN, STOPPING }; /* MessageKind in link.go */
enum { CONTROL_STOP = 1, CONTROL_SIGNAL, CONTROL_FATAL };
enum { MAX_TEXT = 32 << 10 };

static const uint64_t DRAIN_NS = 4000000;

/* The signals that belong to the front. */
enum { FRONT_SIGNALS = 4 };
static const int SIGNALS_OF_FRONT[FRONT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR2};

/* Process-wide, since fork is: set in a forked child of an attached process. */
static bool in_forked_child;
static int attached; /* links that are open */
static struct sigaction front_action[FRONT_SIGNALS];

uint64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
wake(int eventfd)
{
    uint64_t one = 1;
    while (write(eventfd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

/* Why the link cannot be used from here, or NULL. */
const char *
link_unusable(const Link *link)
{
    if (in_forked_child) {
        return "this is a forked child; the server belongs to its parent";
    }
    if (PyThread_get_thread_ident() != link->thread) {
        return "it must be awaited on the server's event loop, not in another thread";
    }
    if (link->closed || link->broken) {
        return "the server has stopped";
    }
    return NULL;
}

static void
control(Link *link, int kind, int value)
{
    if (link->control == NULL) { /* closed */
        return;
    }
    PyObject *callback = Py_NewRef(link->control);
    PyObject *r = PyObject_CallFunction(callback, "ii", kind, value);
    if (r == NULL) {
        PyErr_WriteUnraisable((PyObject *)link);
    }
    Py_XDECREF(r);
    Py_DECREF(callback);
}

/* Memory was overwritten: says so, shows the record, and reads no further. */
static void
fatal(Link *link, const char *what, const Record *record)
{
    link->broken = true;
    fprintf(stderr, "BUG: goasgi: %s\n", what);
    if (record != NULL) {
        const uint8_t *bytes = (const uint8_t *)record;
        for (int i = 0; i < 64; i++) {
            fprintf(stderr, "%02x%s", bytes[i], i % 16 == 15 ? "\n" : " ");
        }
    }
    fflush(stderr);
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable((PyObject *)link);
    }
    control(link, CONTROL_FATAL, 1);
}

/* Room for a record in the out ring, or NULL: then drain() pays what is owed
 * when there is room again. */
void *
link_reserve(Link *link, uint64_t size)
{
    if (link->closed || link->broken || in_forked_child) {
        return NULL;
    }
    Ring *out = &link->memory.out;
    void *room = ring_reserve(out, size);
    if (room == NULL && !ring_wait_room(out, size)) {
        room = ring_reserve(out, size);
    }
    if (room == NULL && out->mine - out->theirs > out->size) {
        fatal(link, "the cursors of the out ring contradict each other", NULL);
    }
    return room;
}

void
link_commit(Link *link, uint64_t size)
{
    Ring *out = &link->memory.out;
    ring_commit(out, size);
    if (ring_take(out->sleeps)) {
        wake(link->front_fd);
    }
}

/* Asks to be woken when the front has read what is lent, for nothing else may
 * happen for long; lets go of what it has read already. */
static void
watch_loans(Link *link)
{
    atomic_store(link->memory.out.waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    link_reclaim(link);
}

/* Keeps object alive until the front has read the record committed last. */
void
link_lend(Link *link, PyObject *object)
{
    unsigned at = (link->first_loan + link->loan_count++) % LOANS;
    link->loans[at] = (Loan){link->memory.out.mine, Py_NewRef(object)};
    watch_loans(link);
}

/* Lets go of what the front has read. */
void
link_reclaim(Link *link)
{
    uint64_t head = atomic_load_explicit(link->memory.out.head, memory_order_acquire);
    while (link->loan_count > 0 && link->loans[link->first_loan].position <= head) {
        Py_DECREF(link->loans[link->first_loan].object); /* bytes: runs no code */
        link->first_loan = (link->first_loan + 1) % LOANS;
        link->loan_count--;
    }
}

bool
link_plain(Link *link, uint8_t kind, const Call *call)
{
    Record *record = link_reserve(link, sizeof(Record));
    if (record == NULL) {
        return false;
    }
    *record = (Record){.size = sizeof(Record), .kind = kind, .slot = call->slot, .serial = call->serial};
    link_commit(link, sizeof(Record));
    return true;
}

/* ------------------------------------------------------------------- drain */

static Call *
find(Link *link, const Record *record)
{
    Call *call = record->slot < link->call_count ? link->calls[record->slot] : NULL;
    return call != NULL && call->serial == record->serial ? call : NULL;
}

/* Makes the table of calls reach slot. */
static int
reach(Link *link, uint32_t slot)
{
    if (slot < link->call_count) {
        return 0;
    }
    uint32_t count = link->call_count == 0 ? 256 : link->call_count;
    while (count <= slot) {
        count *= 2;
    }
    Call **calls = PyMem_RawRealloc(link->calls, count * sizeof(Call *));
    if (calls == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memset(calls + link->call_count, 0, (count - link->call_count) * sizeof(Call *));
    link->calls = calls;
    link->call_count = count;
    return 0;
}

/* Opens a call. Releases the record before the application runs. False if
 * that must be tried again when the out ring has room. */
static bool
open_call(Link *link, const Record *record)
{
    Call *call = NULL;
    PyObject *scope = NULL;
    const uint8_t *body;
    uint32_t body_size, size = record->size;
    if (record->slot < link->call_count && link->calls[record->slot] != NULL) {
        fatal(link, "the front opened a call in a slot that is in use", record);
        return true;
    }
    if (reach(link, record->slot) == 0) {
        call = call_new(link, record->slot, record->serial);
    }
    if (call != NULL) {
        scope = scope_from_record(link, record, &body, &body_size, &call->is_head);
    }
    if (scope == NULL) {
        if (PyErr_ExceptionMatches(PyExc_SystemError)) {
            fatal(link, "a request record does not add up", record);
            Py_XDECREF(call);
            return true;
        }
        /* No memory: the front answers 500. */
        Py_XDECREF(call);
        Record *end = link_reserve(link, sizeof(Record));
        if (end == NULL) {
            PyErr_Clear();
            return false;
        }
        *end = (Record){.size = sizeof(Record), .kind = REC_END, .slot = record->slot, .serial = record->serial};
        link_commit(link, sizeof(Record));
        ring_release(&link->memory.in, size);
        PyErr_WriteUnraisable((PyObject *)link);
        return true;
    }
    call->body_more = true;
    int outcome = call_body(call, body, body_size, (record->flags & FLAG_MORE) != 0);
    ring_release(&link->memory.in, size);
    Py_INCREF(call);
    link->calls[call->slot] = call; /* takes over the first reference */
    call_body_came(call, outcome);
    call_run(call, scope);
    Py_DECREF(call);
    Py_DECREF(scope);
    return true;
}

/* Handles one record and releases it, before any Python code runs: that may
 * fork, or close the link. False if there was no room to answer: the record
 * stays, and drain() comes back to it. */
static bool
handle(Link *link, const Record *record)
{
    if (record->kind == REC_OPEN) {
        return open_call(link, record);
    }
    const Record r = *record;
    const uint8_t *data = (const uint8_t *)(record + 1);
    uint32_t rest = r.size - (uint32_t)sizeof(Record), credit = 0;
    Call *call = find(link, record);
    const char *wrong = NULL;
    int outcome = 0;
    switch (r.kind) {
    case REC_BODY:
        if (call != NULL && (outcome = call_body(call, data, rest, (r.flags & FLAG_MORE) != 0)) > 0) {
            /* The front keeps to the credit; what is beyond it would be unbounded. */
            wrong = "the front sent more of a request body than it had credit for";
        }
        break;
    case REC_CREDIT:
        if (rest != sizeof(credit)) {
            wrong = "a credit record has a wrong length";
            break;
        }
        memcpy(&credit, data, sizeof(credit));
        if (call != NULL && credit > WINDOW - call->credit) {
            wrong = "a credit record goes beyond the window";
        }
        break;
    case REC_DISCONNECT:
    case REC_CANCEL:
    case REC_STOP:
    case REC_SIGNAL:
        if (rest != 0) {
            wrong = "a record has a length that cannot be";
        }
        break;
    default:
        wrong = "a record is of unknown kind";
    }
    if (wrong != NULL) {
        fatal(link, wrong, record);
        return true;
    }
    ring_release(&link->memory.in, r.size);
    if (r.kind == REC_STOP) {
        control(link, CONTROL_STOP, 0);
    }
    else if (r.kind == REC_SIGNAL) {
        control(link, CONTROL_SIGNAL, r.aux);
    }
    if (call == NULL) {
        return true;
    }
    Py_INCREF(call);
    switch (r.kind) {
    case REC_BODY:
        call_body_came(call, outcome);
        break;
    case REC_CREDIT:
        call->credit += credit;
        queue_wake(&call->senders, false);
        break;
    case REC_DISCONNECT:
        call_disconnect(call, r.aux != 0);
        break;
    case REC_CANCEL:
        call_cancel(call);
    }
    Py_DECREF(call);
    return true;
}

/* Pays what calls owe the front, now that there may be room. */
static void
settle(Link *link)
{
    Call *owing = link->owing;
    link->owing = NULL;
    while (owing != NULL) {
        Call *call = owing;
        owing = call->next_owing;
        call->owing = false;
        call->next_owing = NULL;
        if (!call_pay(call)) {
            call_owe(call, 0);
        }
        Py_DECREF(call);
    }
}

static PyObject *
drain(Link *link)
{
    const char *unusable = link_unusable(link);
    if (unusable != NULL || !link->started) {
        if (link->broken || link->closed) {
            Py_RETURN_NONE; /* a wake-up that came late */
        }
        PyErr_Format(PyExc_RuntimeError, "drain(): %s", !link->started ? "the link has not been started" : unusable);
        return NULL;
    }
    Ring *in = &link->memory.in;
    uint64_t began = link->slice = now_ns();
    if (link->loan_count > 0) {
        link_reclaim(link);
    }
    if (link->owing != NULL) {
        settle(link);
    }
    for (unsigned n = 1; !link->broken && !link->closed && !in_forked_child; n++) {
        int64_t ready = ring_ready(in);
        if (ready == 0) {
            if (ring_take(in->waits)) {
                wake(link->front_fd);
            }
            if (link->loan_count > 0) {
                watch_loans(link);
            }
            if (ring_sleep(in)) {
                Py_RETURN_NONE;
            }
            continue;
        }
        const Record *record = ring_peek(in);
        if (ready < (int64_t)sizeof(Record)) {
            fatal(link, "the cursors of the in ring contradict each other", NULL);
            break;
        }
        if (record->size < sizeof(Record) || (int64_t)ring_align(record->size) > ready || record->slot >= MAX_SLOTS) {
            fatal(link, "a record of the in ring has a size that cannot be", record);
            break;
        }
        if (!handle(link, record)) {
            break; /* the front wakes us when it has made room */
        }
        if ((n & 7) == 0 && !link->closed && !in_forked_child && now_ns() - began > DRAIN_NS) {
            if (ring_take(in->waits)) {
                wake(link->front_fd);
            }
            return PyObject_CallMethodOneArg(link->loop, link->state->s_call_soon, link->again);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
link_again(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return drain((Link *)self);
}

static PyMethodDef again_method = {"drain", link_again, METH_NOARGS, NULL};

static PyObject *
link_drain(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Link *link = (Link *)self;
    uint64_t count;
    if (!link->closed && !in_forked_child && read(link->worker_fd, &count, sizeof(count)) < 0 && errno != EAGAIN &&
        errno != EINTR) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return drain(link);
}

/* ------------------------------------------------------------------ signals */

static bool
same_action(const struct sigaction *a, const struct sigaction *b)
{
    return a->sa_sigaction == b->sa_sigaction;
}

static PyObject *
link_mark_signals(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    for (size_t i = 0; i < FRONT_SIGNALS; i++) {
        sigaction(SIGNALS_OF_FRONT[i], NULL, &front_action[i]);
    }
    Py_RETURN_NONE;
}

static PyObject *
link_signals(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    long mask = 0;
    for (size_t i = 0; i < FRONT_SIGNALS; i++) {
        struct sigaction now;
        if (sigaction(SIGNALS_OF_FRONT[i], NULL, &now) == 0 && !same_action(&now, &front_action[i])) {
            mask |= 1L << SIGNALS_OF_FRONT[i];
        }
    }
    return PyLong_FromLong(mask);
}

/* In a forked child the front's handlers lead into a Go runtime that has no
 * threads any more: back to the default. Async-signal-safe. */
static void
after_fork_in_child(void)
{
    if (attached == 0) {
        return;
    }
    in_forked_child = true;
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) != 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) {
            continue;
        }
        for (size_t i = 0; i < FRONT_SIGNALS; i++) {
            if (same_action(&now, &front_action[i])) {
                signal(number, SIG_DFL);
                break;
            }
        }
    }
}

/* -------------------------------------------------------------------- link */

static PyObject *
link_start(PyObject *self, PyObject *args)
{
    Link *link = (Link *)self;
    PyObject *loop, *app, *lifespan_state, *root_path, *report, *control;
    int eager, cancel_on_disconnect;
    if (!PyArg_ParseTuple(args, "OOOUppOO:start", &loop, &app, &lifespan_state, &root_path, &eager,
                          &cancel_on_disconnect, &report, &control)) {
        return NULL;
    }
    if (lifespan_state != Py_None && !PyDict_Check(lifespan_state)) {
        PyErr_SetString(PyExc_TypeError, "start(): state is a dict or None");
        return NULL;
    }
    if (link->loop != NULL || link->closed) {
        PyErr_SetString(PyExc_RuntimeError, "start(): the link has been started already");
        return NULL;
    }
    link->loop = Py_NewRef(loop);
    link->app = Py_NewRef(app);
    link->lifespan_state = lifespan_state == Py_None ? NULL : Py_NewRef(lifespan_state);
    link->report = Py_NewRef(report);
    link->control = Py_NewRef(control);
    link->eager = eager && PY_VERSION_HEX >= 0x030C0000;
    link->cancel_on_disconnect = cancel_on_disconnect;
    link->thread = PyThread_get_thread_ident();
    link->create_future = PyObject_GetAttr(loop, link->state->s_create_future);
    link->again = PyCFunction_New(&again_method, self);
    link->task_keywords = Py_BuildValue("{sOsO}", "loop", loop, "eager_start", Py_True);
    if (link->create_future == NULL || link->again == NULL || link->task_keywords == NULL ||
        convert_start(link, root_path) < 0) {
        return NULL;
    }
    link->started = true;
    Py_RETURN_NONE;
}

static PyObject *
link_fileno(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(((Link *)self)->worker_fd);
}

static PyObject *
link_post(PyObject *self, PyObject *args)
{
    Link *link = (Link *)self;
    int kind, status;
    const char *text;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(args, "iis#:post", &kind, &status, &text, &size)) {
        return NULL;
    }
    if (in_forked_child || link->closed || link->broken) {
        Py_RETURN_FALSE;
    }
    if (size > MAX_TEXT) {
        PyErr_Format(PyExc_ValueError, "post(): the text has %zd bytes; at most %d", size, MAX_TEXT);
        return NULL;
    }
    uint64_t total = sizeof(Record) + (uint64_t)size;
    Record *record;
    while ((record = link_reserve(link, total)) == NULL) {
        if (kind == LOG) {
            Py_RETURN_FALSE;
        }
        /* One of the few words of a worker's life: wait until the front reads. */
        Py_BEGIN_ALLOW_THREADS
            usleep(1000);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() < 0) {
            return NULL;
        }
        if (in_forked_child || link->closed || link->broken) {
            Py_RETURN_FALSE;
        }
    }
    *record = (Record){
        .size = (uint32_t)total, .kind = REC_CONTROL, .aux = (uint16_t)kind, .slot = (uint32_t)status, .serial = 0};
    memcpy(record + 1, text, (size_t)size);
    link_commit(link, total);
    Py_RETURN_TRUE;
}

static void
link_detach(Link *link)
{
    link->closed = true;
    attached--;
    Call *owing = link->owing;
    link->owing = NULL;
    while (owing != NULL) {
        Call *call = owing;
        owing = call->next_owing;
        call->owing = false;
        Py_DECREF(call);
    }
    for (uint32_t slot = 0; slot < link->call_count; slot++) {
        Call *call = link->calls[slot];
        if (call != NULL) {
            link->calls[slot] = NULL;
            call->gone = call->ended = true;
            Py_CLEAR(call->task);
            Py_DECREF(call);
        }
    }
    if (!in_forked_child && link->memory.header != NULL) {
        link_reclaim(link); /* what the front may still be reading stays alive for good */
        memory_unmap(&link->memory);
    }
}

static PyObject *
link_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Link *link = (Link *)self;
    if (!link->closed) {
        link_detach(link);
        Py_CLEAR(link->again);
        Py_CLEAR(link->report);
        Py_CLEAR(link->control);
        Py_CLEAR(link->app);
    }
    Py_RETURN_NONE;
}

static void
link_dealloc(PyObject *self)
{
    Link *link = (Link *)self;
    PyTypeObject *type = Py_TYPE(self);
    if (!link->closed) {
        link_detach(link);
    }
    convert_clear(link);
    PyMem_RawFree(link->calls);
    Py_XDECREF(link->loop);
    Py_XDECREF(link->app);
    Py_XDECREF(link->lifespan_state);
    Py_XDECREF(link->report);
    Py_XDECREF(link->control);
    Py_XDECREF(link->create_future);
    Py_XDECREF(link->task_keywords);
    Py_XDECREF(link->again);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef link_methods[] = {
    {"start", link_start, METH_VARARGS,
     PyDoc_STR("start(loop, app, state, root_path, eager, cancel_on_disconnect, report, control)\n--\n\n"
               "Serve app on loop from now on, whenever drain() runs.\n\n"
               "state: dict or None, copied into each scope. report(exception, scope_type, text) takes what comes\n"
               "out of the application; control(kind, value) takes STOP, SIGNAL and FATAL.")},
    {"fileno", link_fileno, METH_NOARGS,
     PyDoc_STR("fileno()\n--\n\nThe descriptor that is readable when drain() has work.")},
    {"drain", link_drain, METH_NOARGS, PyDoc_STR("drain()\n--\n\nHandle what the front has sent.")},
    {"post", link_post, METH_VARARGS,
     PyDoc_STR("post(kind, status, text)\n--\n\n"
               "Tell the front something about this worker: STARTED, FAILED, STOPPED or LOG.\n\n"
               "text has at most 32 KiB of UTF-8. False if there was no room, which only LOG can meet.")},
    {"signals", link_signals, METH_NOARGS,
     PyDoc_STR("signals()\n--\n\n"
               "Bit mask (1 << number) of INT, TERM, HUP and USR2 whose handler is no longer the one that\n"
               "mark_signals() saw.")},
    {"mark_signals", link_mark_signals, METH_NOARGS,
     PyDoc_STR("mark_signals()\n--\n\nRemember the present signal handlers as the front's.")},
    {"close", link_close, METH_NOARGS, PyDoc_STR("close()\n--\n\nDetach from the front.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot link_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("A link to the front: a ring each way and two eventfds.")},
    {Py_tp_dealloc, link_dealloc},
    {Py_tp_methods, link_methods},
    {0, NULL},
};

PyType_Spec link_spec = {
    .name = "goasgi._bridge.Link",
    .basicsize = sizeof(Link),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = link_slots,
};

/* ------------------------------------------------------------------- module */

/* Names whose values are nobody's business beyond their own request: their
 * pairs are not kept for the next one. */
static bool
is_secret(const char *name)
{
    return strcmp(name, "authorization") == 0 || strcmp(name, "cookie") == 0 ||
           strcmp(name, "proxy-authorization") == 0;
}

static PyObject *
attach(PyObject *module, PyObject *args)
{
    int memory_fd, worker_fd, front_fd;
    PyObject *names;
    if (!PyArg_ParseTuple(args, "iiiO!:attach", &memory_fd, &worker_fd, &front_fd, &PyList_Type, &names)) {
        return NULL;
    }
    if (in_forked_child) {
        PyErr_SetString(PyExc_RuntimeError, "attach(): this is a forked child; the server belongs to its parent");
        return NULL;
    }
    State *state = PyModule_GetState(module);
    Link *link = (Link *)state->link_type->tp_alloc(state->link_type, 0);
    if (link == NULL) {
        return NULL;
    }
    link->state = state;
    link->closed = true; /* until it is mapped */
    link->worker_fd = worker_fd;
    link->front_fd = front_fd;
    if (PyList_GET_SIZE(names) > KNOWN_MAX) {
        PyErr_Format(PyExc_ValueError, "attach(): at most %d header names", KNOWN_MAX);
        goto failed;
    }
    for (Py_ssize_t i = 1; i < PyList_GET_SIZE(names); i++) {
        PyObject *name = PyUnicode_AsASCIIString(PyList_GET_ITEM(names, i));
        if (name == NULL) {
            goto failed;
        }
        link->header_names[i] = name;
        link->secret[i] = is_secret(PyBytes_AS_STRING(name));
    }
    const char *wrong = memory_map(&link->memory, memory_fd);
    if (wrong != NULL) {
        PyErr_Format(PyExc_OSError, "attach(): %s%s%s", wrong, errno ? ": " : "", errno ? strerror(errno) : "");
        goto failed;
    }
    link->closed = false;
    attached++;
    Py_XDECREF(link_mark_signals(NULL, NULL));
    return (PyObject *)link;
failed:
    Py_DECREF(link);
    return NULL;
}

/* module.attribute of an imported module. */
static PyObject *
import_attribute(const char *module, const char *attribute)
{
    PyObject *m = PyImport_ImportModule(module);
    PyObject *value = m == NULL ? NULL : PyObject_GetAttrString(m, attribute);
    Py_XDECREF(m);
    return value;
}

/* What iscoroutinefunction() looks for in a callable that is not a function, or
 * None: under a private name, which may go away. */
static PyObject *
coroutine_mark(PyObject *function)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyObject *mark = import_attribute("inspect", "markcoroutinefunction");
    PyObject *r = mark == NULL ? NULL : PyObject_CallOneArg(mark, function);
    PyObject *value = r == NULL ? NULL : PyObject_GetAttrString(function, "_is_coroutine_marker");
    Py_XDECREF(mark);
    Py_XDECREF(r);
#else
    (void)function;
    PyObject *value = import_attribute("asyncio.coroutines", "_is_coroutine");
#endif
    if (value == NULL) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return value;
}

static int
add_type(PyObject *module, PyTypeObject **type, PyType_Spec *spec)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type == NULL ? -1 : 0;
}

static int
bridge_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
#define X(name, text)                                                                                                  \
    if ((state->s_##name = PyUnicode_InternFromString(text)) == NULL) {                                                \
        return -1;                                                                                                     \
    }
    STRINGS(X)
#undef X
    if (add_type(module, &state->link_type, &link_spec) < 0 || add_type(module, &state->call_type, &call_spec) < 0 ||
        add_type(module, &state->step_type, &step_spec) < 0 ||
        add_type(module, &state->receive_type, &receive_spec) < 0 ||
        add_type(module, &state->send_type, &send_spec) < 0) {
        return -1;
    }
    state->client_disconnected = PyErr_NewExceptionWithDoc(
        "goasgi.ClientDisconnected", "send() of a request whose client has left.", PyExc_OSError, NULL);
    state->task_type = (PyTypeObject *)import_attribute("asyncio", "Task");
    state->current_task = import_attribute("asyncio", "current_task");
    state->iscoroutine = import_attribute("asyncio", "iscoroutine");
    state->empty_bytes = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *globals = PyDict_New();
    PyObject *r = globals == NULL ? NULL
                                  : PyRun_String("async def as_coroutine(awaitable):\n    return await awaitable\n",
                                                 Py_file_input, globals, globals);
    state->as_coroutine = r == NULL ? NULL : Py_XNewRef(PyDict_GetItemString(globals, "as_coroutine"));
    Py_XDECREF(r);
    Py_XDECREF(globals);
    if (state->as_coroutine != NULL) {
        state->coroutine_mark = coroutine_mark(state->as_coroutine);
    }
    if (state->client_disconnected == NULL || state->task_type == NULL || state->current_task == NULL ||
        state->iscoroutine == NULL || state->empty_bytes == NULL || state->as_coroutine == NULL) {
        return -1;
    }
    state->request_empty = Py_BuildValue("{OOOOOO}", state->s_type, state->s_http_request, state->s_body,
                                         state->empty_bytes, state->s_more_body, Py_False);
    if (state->request_empty == NULL ||
        PyModule_AddObjectRef(module, "ClientDisconnected", state->client_disconnected) < 0 ||
        PyModule_AddIntMacro(module, STARTED) < 0 || PyModule_AddIntMacro(module, FAILED) < 0 ||
        PyModule_AddIntMacro(module, STOPPED) < 0 || PyModule_AddIntMacro(module, LOG) < 0 ||
        PyModule_AddIntMacro(module, SIGNALS) < 0 || PyModule_AddIntMacro(module, STOPPING) < 0 ||
        PyModule_AddIntConstant(module, "STOP", CONTROL_STOP) < 0 ||
        PyModule_AddIntConstant(module, "SIGNAL", CONTROL_SIGNAL) < 0 ||
        PyModule_AddIntConstant(module, "FATAL", CONTROL_FATAL) < 0) {
        return -1;
    }
    static bool registered; /* for the process: handlers cannot be taken back */
    if (!registered && pthread_atfork(NULL, NULL, after_fork_in_child) != 0) {
        PyErr_SetString(PyExc_OSError, "pthread_atfork: no memory");
        return -1;
    }
    registered = true;
    return 0;
}

static int
bridge_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
#define X(name, text) Py_CLEAR(state->s_##name);
    STRINGS(X)
#undef X
    Py_CLEAR(state->link_type);
    Py_CLEAR(state->call_type);
    Py_CLEAR(state->receive_type);
    Py_CLEAR(state->send_type);
    Py_CLEAR(state->step_type);
    Py_CLEAR(state->client_disconnected);
    Py_CLEAR(state->task_type);
    Py_CLEAR(state->current_task);
    Py_CLEAR(state->iscoroutine);
    Py_CLEAR(state->as_coroutine);
    Py_CLEAR(state->empty_bytes);
    Py_CLEAR(state->coroutine_mark);
    Py_CLEAR(state->request_empty);
    return 0;
}

static int
bridge_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->link_type);
    Py_VISIT(state->call_type);
    Py_VISIT(state->receive_type);
    Py_VISIT(state->send_type);
    Py_VISIT(state->step_type);
    Py_VISIT(state->client_disconnected);
    Py_VISIT(state->task_type);
    Py_VISIT(state->current_task);
    Py_VISIT(state->iscoroutine);
    Py_VISIT(state->as_coroutine);
    Py_VISIT(state->coroutine_mark);
    return 0;
}

static void
bridge_free(void *module)
{
    bridge_clear((PyObject *)module);
}

static PyMethodDef bridge_methods[] = {
    {"attach", attach, METH_VARARGS,
     PyDoc_STR("attach(memory, worker, front, header_names)\n--\n\n"
               "Attach to the link behind three descriptors; header_names[i] is the header name of number i.\n\n"
               "Raises OSError if the memory is not a link's.")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot bridge_slots[] = {
    {Py_mod_exec, bridge_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, NULL},
};

static PyModuleDef bridge_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "goasgi._bridge",
    .m_doc = PyDoc_STR("The application's half of the bridge between goasgi's front and CPython."),
    .m_size = sizeof(State),
    .m_methods = bridge_methods,
    .m_slots = bridge_slots,
    .m_traverse = bridge_traverse,
    .m_clear = bridge_clear,
    .m_free = bridge_free,
};

PyMODINIT_FUNC
PyInit__bridge(void)
{
    return PyModuleDef_Init(&bridge_module);
}
