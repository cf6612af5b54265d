/* The C half of the bridge: what its files share. module.c tells the life of a
 * request and who owns which reference until when. */
#ifndef GOASGI_BRIDGE_H
#define GOASGI_BRIDGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h> /* T_PYSSIZET; the names without it need 3.12 */

#include "ring.h"

#if PY_VERSION_HEX < 0x030B0000
#error "goasgi needs CPython 3.11 or newer"
#endif

/* Strings that are looked up or stored in dicts all the time, interned once for
 * an interpreter: S(type) is "type"; the second column is the text. */
#define STRINGS(X)                                                                                  \
    X(asgi, "asgi") X(body, "body") X(client, "client") X(header_names, "headers") X(http, "http")  \
    X(http_version, "http_version") X(https, "https") X(message, "message") X(method, "method")     \
    X(more_body, "more_body") X(path, "path") X(query_string, "query_string")                       \
    X(raw_path, "raw_path") X(root_path, "root_path") X(scheme, "scheme") X(server, "server")       \
    X(spec_version, "spec_version") X(state, "state") X(status, "status") X(type, "type")           \
    X(version, "version") X(websocket, "websocket") X(ws, "ws") X(wss, "wss") X(empty, "")          \
    X(http_request, "http.request") X(http_disconnect, "http.disconnect")                           \
    X(http_response_start, "http.response.start") X(http_response_body, "http.response.body")       \
    X(v10, "1.0") X(v11, "1.1") X(v2, "2") X(v3, "3") X(asgi3, "3.0") X(spec23, "2.3")              \
    X(get, "GET") X(head, "HEAD") X(post, "POST") X(put, "PUT") X(delete_, "DELETE")                \
    X(options, "OPTIONS") X(patch, "PATCH") X(receive, "receive") X(send, "send")                   \
    X(add_done_callback, "add_done_callback") X(call_soon, "call_soon") X(cancel, "cancel")         \
    X(create_future, "create_future") X(create_task, "create_task") X(done, "done") X(exception, "exception")                 \
    X(future_blocking, "_asyncio_future_blocking") X(result, "result") X(set_result, "set_result")

typedef struct Link Link;
typedef struct Call Call;
typedef struct Step Step;

/* Module state, one for an interpreter. */
typedef struct {
    PyTypeObject *link_type, *call_type, *receive_type, *send_type, *step_type;
    PyObject *client_disconnected; /* class ClientDisconnected(OSError) */
    PyTypeObject *task_type;       /* asyncio.Task */
    PyObject *current_task;        /* asyncio.current_task */
    PyObject *iscoroutine;         /* asyncio.iscoroutine */
    PyObject *as_coroutine;        /* async def (awaitable): return await awaitable */
    PyObject *empty_bytes;
    PyObject *coroutine_mark; /* what inspect.iscoroutinefunction looks for; on 3.11, asyncio's */
    PyObject *request_empty;  /* {"type": "http.request", "body": b"", "more_body": False} */
#define X(name, text) PyObject *s_##name;
    STRINGS(X)
#undef X
} State;

/* Steps that wait for their turn, the first is next. Borrowed references: a
 * step takes itself out when it finishes or is deallocated. */
typedef struct {
    Step *first, *last;
} Queue;

enum { RECEIVE, SEND };

/* What receive() and send() return: a coroutine of one event. */
struct Step {
    PyObject_HEAD
    Call *call;
    PyObject *message; /* of send, until it is done */
    PyObject *future;  /* what it waits for, once it has waited */
    PyObject *body;    /* of a send that has begun: bytes-like */
    Py_buffer view;    /* of body, while body is set */
    Py_ssize_t offset; /* how much of it is in the ring */
    Step *previous, *next;
    uint8_t kind;  /* RECEIVE or SEND */
    uint8_t state; /* see step.c */
    bool queued;
    bool begun; /* send: checked and counted; what is left is to pass it on */
    bool more;  /* send: more_body */
    bool short_body;
};

enum { OWE_TAKEN = 1, OWE_WANT = 2, OWE_ROOM = 4, OWE_END = 8 };

/* The order of events on the sending side, see step.c. */
enum { EXPECT_START, EXPECT_BODY, COMPLETE };

/* One connection scope: an HTTP request and its response. */
struct Call {
    PyObject_HEAD
    Link *link;
    uint32_t slot, serial;
    uint8_t order;   /* EXPECT_START, EXPECT_BODY, COMPLETE */
    uint8_t owed;    /* OWE_*: what the front is still to be told */
    bool is_head;    /* method HEAD */
    bool head_sent;  /* the front has the response's head */
    bool no_content; /* the response has no body: HEAD, 204, 304 */
    bool body_more;  /* the client has not sent the whole body yet */
    bool body_ended; /* receive() has returned the event with more_body False */
    bool wanted;     /* REC_WANT was sent */
    bool left;       /* the client closed its sending side */
    bool gone;       /* the client is gone, or the response is broken off */
    bool complete;   /* the whole response is in the ring */
    bool ended;      /* the coroutine has ended, or the link is closed */
    bool cancelled;  /* the front asked for it */
    uint16_t status; /* of the head that waits for the first body */
    uint32_t header_count;
    uint32_t head_size;
    char *head;          /* malloc; its headers as REC_START carries them */
    int64_t length_left; /* of the response's Content-Length, -1 if there is none */
    uint32_t credit;     /* bytes of response body that may be sent */
    uint32_t taken;      /* bytes of request body that receive() returned and REC_TAKEN did not */
    PyObject *part;      /* bytes of request body that receive() has not returned */
    PyObject *task;      /* while it runs; dropping it breaks the cycle task, frame, send, call */
    Queue receivers, senders;
    Call *next_owing; /* in link->owing, which holds a reference */
    bool owing;
};

/* An object whose memory a record refers to, until the front has read it. */
typedef struct {
    uint64_t position; /* of the out ring, behind the record */
    PyObject *object;
} Loan;

enum { CLIENTS = 256, KNOWN_MAX = 128, CACHED_VALUE = 128, LOANS = 128 };

/* A link that this interpreter is attached to. */
struct Link {
    PyObject_HEAD
    State *state;
    Memory memory;
    int worker_fd, front_fd;
    unsigned long thread; /* of the event loop */
    bool started, broken, closed;
    bool eager, cancel_on_disconnect;
    PyObject *loop, *app, *lifespan_state, *report, *control;
    PyObject *create_future; /* loop.create_future */
    PyObject *task_keywords; /* {"loop": loop, "eager_start": True} */
    PyObject *again;         /* bound drain, for loop.call_soon */
    PyObject *http_scope;    /* template with every key; copied for each request */
    PyObject *asgi_versions; /* {"version": …, "spec_version": …}; copied for each request */
    PyObject *root_path;     /* str */
    Call **calls;            /* by slot; owned */
    uint32_t call_count;     /* length of calls */
    Call *owing;             /* calls with something owed to the front; owned */
    uint64_t slice;          /* when the present turn of the loop began, ns */
    unsigned steps;          /* steps since then */

    Loan loans[LOANS]; /* a queue */
    unsigned first_loan, loan_count;

    /* Objects that the next request is likely to need again. */
    PyObject *header_names[KNOWN_MAX];   /* bytes */
    PyObject *header_pairs[KNOWN_MAX];   /* (name, value) as last seen, short values only */
    bool secret[KNOWN_MAX];              /* whose pairs are not kept */
    PyObject *client_host, *server_pair; /* str; (host, port) */
    PyObject *client_pairs[CLIENTS];     /* (client_host, port), by port */
};

/* convert.c */
PyObject *scope_from_record(Link *link, const Record *record, const uint8_t **body, uint32_t *body_size, bool *is_head);
int head_from_message(Call *call, PyObject *message);
int convert_start(Link *link, PyObject *root_path);
void convert_clear(Link *link);

/* call.c */
Call *call_new(Link *link, uint32_t slot, uint32_t serial);
void call_run(Call *call, PyObject *scope);
int call_body(Call *call, const uint8_t *data, uint32_t size, bool more);
void call_body_came(Call *call, int outcome);
void call_disconnect(Call *call, bool gone);
void call_cancel(Call *call);
void call_owe(Call *call, uint8_t what);
bool call_pay(Call *call);
void call_take(Call *call, uint32_t size);
extern PyType_Spec call_spec;

/* step.c */
void queue_wake(Queue *queue, bool all);
PyObject *channel_new(Call *call, uint8_t kind);
extern PyType_Spec step_spec, receive_spec, send_spec;

/* module.c */
void *link_reserve(Link *link, uint64_t size);
void link_commit(Link *link, uint64_t size);
void link_lend(Link *link, PyObject *object);
void link_reclaim(Link *link);
bool link_plain(Link *link, uint8_t kind, const Call *call);
uint64_t now_ns(void);
const char *link_unusable(const Link *link);
extern PyType_Spec link_spec;

/* The exception that is being raised, taken away from the thread state. */
static inline PyObject *
take_exception(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

#if PY_VERSION_HEX < 0x030C0000
/* Raises an exception that take_exception() took; steals the reference. */
static inline void
PyErr_SetRaisedException(PyObject *exception)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
}
#endif

#endif
