/* receive() and send(), and the coroutines that they return.
 *
 * A step is lazy: nothing happens until it is stepped. It completes in its
 * first step whenever the data or the room is there, and otherwise yields an
 * asyncio future, which queue_wake() completes when it is worth stepping again.
 * Nothing is taken from the call before the step that returns it, so that a
 * cancelled receive() loses no message.
 *
 * Steps of one call that wait do so in a queue for each direction, and later
 * ones line up behind them: events keep the order in which they were first
 * stepped, whichever tasks they come from.
 *
 * Which events send() takes, and what it says of others:
 *
 *   order         http.response.start      http.response.body
 *   EXPECT_START  → EXPECT_BODY            error
 *   EXPECT_BODY   error                    → EXPECT_BODY (more_body), COMPLETE
 *   COMPLETE      ignored                  ignored
 *
 * "If send is called after the response is complete, the message is ignored"
 * follows from the ASGI specification's "any further messages on the channel
 * will be ignored" (HTTP, Response Body).
 */
#include "bridge.h"

enum {
    STEP_NEW,
    STEP_YIELDED, /* suspended once, for fairness */
    STEP_WAITING, /* on its future */
    STEP_RUNNING,
    STEP_DONE,
};

/* How long the steps of one turn of the loop may go on without suspending. */
static const uint64_t SLICE_NS = 5000000;

/* A body part in one record is at most this large: a ring's quarter and more
 * is left for others. */
enum { MAX_PART = 64 << 10 };

/* From this size on a body part is lent to the front instead of copied. */
enum { LEND_MIN = 16 << 10 };

typedef struct {
    PyObject_HEAD
    vectorcallfunc vectorcall;
    Call *call;
} Channel; /* receive or send */

/* Whether the step is at the front of its queue or nothing is queued. */
static bool
its_turn(const Queue *queue, const Step *step)
{
    return queue->first == NULL || queue->first == step;
}

static Queue *
queue_of(const Step *step)
{
    return step->kind == RECEIVE ? &step->call->receivers : &step->call->senders;
}

static void
enqueue(Step *step)
{
    if (step->queued) {
        return;
    }
    Queue *queue = queue_of(step);
    step->previous = queue->last;
    step->next = NULL;
    *(queue->last ? &queue->last->next : &queue->first) = step;
    queue->last = step;
    step->queued = true;
}

static void
dequeue(Step *step)
{
    if (!step->queued) {
        return;
    }
    Queue *queue = queue_of(step);
    *(step->previous ? &step->previous->next : &queue->first) = step->next;
    *(step->next ? &step->next->previous : &queue->last) = step->previous;
    step->queued = false;
    queue_wake(queue, false);
}

static void
complete_future(Step *step)
{
    State *state = step->call->link->state;
    PyObject *future = Py_NewRef(step->future);
    /* set_result only schedules callbacks: no step runs in here. */
    PyObject *done = PyObject_CallMethodNoArgs(future, state->s_done);
    if (done == Py_False) {
        PyObject *r = PyObject_CallMethodOneArg(future, state->s_set_result, Py_None);
        Py_XDECREF(r);
    }
    Py_XDECREF(done);
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(future);
    }
    Py_DECREF(future);
}

/* Completes the future of the step that is next, or of all. An exception that
 * is being raised stays. The caller owns the call. */
void
queue_wake(Queue *queue, bool all)
{
    Step *step = queue->first;
    if (step == NULL || (!all && step->future == NULL)) {
        return;
    }
    PyObject *raised = take_exception();
    /* The loop's call_soon() may be Python code, in which other steps go away. */
    Py_INCREF(step);
    while (step != NULL) {
        if (step->future != NULL) {
            complete_future(step);
        }
        Step *next = !all ? NULL : step->queued ? step->next : queue->first;
        Py_XINCREF(next);
        Py_DECREF(step);
        step = next;
    }
    if (raised != NULL) {
        PyErr_SetRaisedException(raised);
    }
}

static void
release_body(Step *step)
{
    if (step->body != NULL) {
        PyBuffer_Release(&step->view);
        Py_CLEAR(step->body);
    }
}

/* The step is over, by a result, an exception or because nobody wants it. */
static void
finish(Step *step)
{
    if (step->state == STEP_DONE) {
        return;
    }
    step->state = STEP_DONE;
    dequeue(step);
    if (step->begun && step->body != NULL && step->offset < step->view.len) {
        /* A part of the body is lost: the response cannot be completed. */
        step->call->gone = true;
        queue_wake(&step->call->receivers, true);
        queue_wake(&step->call->senders, true);
    }
    release_body(step);
    Py_CLEAR(step->message);
    Py_CLEAR(step->future);
}

static PySendResult
fail(Step *step)
{
    finish(step);
    return PYGEN_ERROR;
}

/* Suspends until queue_wake() finds the step. */
static PySendResult
suspend(Step *step, PyObject **result)
{
    Link *link = step->call->link;
    State *state = link->state;
    if (step->future != NULL) {
        PyObject *done = PyObject_CallMethodNoArgs(step->future, state->s_done);
        if (done == NULL) {
            return fail(step);
        }
        if (done != Py_False) {
            Py_CLEAR(step->future);
        }
        Py_DECREF(done);
    }
    if (step->future == NULL && (step->future = PyObject_CallNoArgs(link->create_future)) == NULL) {
        return fail(step);
    }
    if (PyObject_SetAttr(step->future, state->s_future_blocking, Py_True) < 0) {
        return fail(step);
    }
    enqueue(step);
    step->state = STEP_WAITING;
    *result = Py_NewRef(step->future);
    return PYGEN_NEXT;
}

/* Whether a step should let others run first: this turn of the loop has gone on
 * for long without one suspending, and it is a task that steps. */
static int
overdrawn(Link *link)
{
    if ((++link->steps & 63) != 0) {
        return 0;
    }
    uint64_t now = now_ns();
    if (now - link->slice < SLICE_NS) {
        return 0;
    }
    link->slice = now;
    PyObject *task = PyObject_CallOneArg(link->state->current_task, link->loop);
    if (task == NULL) {
        return -1;
    }
    int is_task = task != Py_None;
    Py_DECREF(task);
    return is_task;
}

/* ------------------------------------------------------------------ receive */

static PyObject *
request_event(Call *call)
{
    State *state = call->link->state;
    PyObject *event = PyDict_Copy(state->request_empty);
    if (event == NULL) {
        return NULL;
    }
    if (call->part != NULL && PyDict_SetItem(event, state->s_body, call->part) < 0) {
        goto failed;
    }
    if (call->body_more && PyDict_SetItem(event, state->s_more_body, Py_True) < 0) {
        goto failed;
    }
    if (call->part != NULL) {
        uint32_t size = (uint32_t)PyBytes_GET_SIZE(call->part);
        Py_CLEAR(call->part);
        call_take(call, size);
    }
    call->body_ended = !call->body_more;
    return event;
failed:
    Py_DECREF(event);
    return NULL;
}

static PyObject *
disconnect_event(State *state)
{
    PyObject *event = PyDict_New();
    if (event != NULL && PyDict_SetItem(event, state->s_type, state->s_http_disconnect) < 0) {
        Py_CLEAR(event);
    }
    return event;
}

static PySendResult
receive_step(Step *step, PyObject **result)
{
    Call *call = step->call;
    bool over = call->gone || call->complete || call->ended;
    bool request = !over && (call->part != NULL || (!call->body_more && !call->body_ended));
    if (!over && !its_turn(&call->receivers, step)) {
        return suspend(step, result);
    }
    if (request) {
        *result = request_event(call);
    }
    else if (over || call->left) {
        *result = disconnect_event(call->link->state);
    }
    else {
        if (call->body_more && !call->wanted) {
            call->wanted = true;
            call_owe(call, OWE_WANT);
        }
        return suspend(step, result);
    }
    finish(step);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

/* --------------------------------------------------------------------- send */

static PyObject *
message_type(Step *step)
{
    State *state = step->call->link->state;
    PyObject *type;
    if (PyDict_CheckExact(step->message)) {
        type = PyDict_GetItemWithError(step->message, state->s_type);
        Py_XINCREF(type);
        if (type == NULL && !PyErr_Occurred()) {
            PyErr_SetString(PyExc_KeyError, "type");
        }
    }
    else if (PyMapping_Check(step->message) && !PyList_Check(step->message) && !PyTuple_Check(step->message) &&
             !PyUnicode_Check(step->message) && !PyBytes_Check(step->message)) {
        type = PyObject_GetItem(step->message, state->s_type);
    }
    else {
        PyErr_Format(PyExc_TypeError, "send() takes an ASGI event, a dict with a \"type\"; got %.200s",
                     Py_TYPE(step->message)->tp_name);
        return NULL;
    }
    if (type != NULL && !PyUnicode_Check(type)) {
        PyErr_Format(PyExc_TypeError, "the \"type\" of an ASGI event is a str; got %.200s", Py_TYPE(type)->tp_name);
        Py_CLEAR(type);
    }
    return type;
}

/* The value of a key, or NULL without an exception if the key is not there. */
static PyObject *
message_get(PyObject *message, PyObject *key)
{
    if (PyDict_CheckExact(message)) {
        return Py_XNewRef(PyDict_GetItemWithError(message, key));
    }
    PyObject *value = PyObject_GetItem(message, key);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
    }
    return value;
}

/* http.response.start: checks it and keeps its head until the first body. */
static int
begin_start(Step *step)
{
    Call *call = step->call;
    if (head_from_message(call, step->message) < 0) {
        return -1;
    }
    call->no_content = call->is_head || call->status == 204 || call->status == 304;
    call->order = EXPECT_BODY;
    return 0;
}

/* http.response.body: checks it and counts it. */
static int
begin_body(Step *step)
{
    Call *call = step->call;
    State *state = call->link->state;
    PyObject *more = message_get(step->message, state->s_more_body);
    int is_more = more == NULL ? (PyErr_Occurred() ? -1 : 0) : PyObject_IsTrue(more);
    Py_XDECREF(more);
    if (is_more < 0) {
        return -1;
    }
    PyObject *body = message_get(step->message, state->s_body);
    if (body == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        body = Py_NewRef(state->empty_bytes);
    }
    if (PyUnicode_Check(body) || PyObject_GetBuffer(body, &step->view, PyBUF_SIMPLE) < 0) {
        if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_BufferError)) {
            PyErr_Format(PyExc_TypeError, "the \"body\" of http.response.body is bytes; got %.200s",
                         Py_TYPE(body)->tp_name);
        }
        Py_DECREF(body);
        return -1;
    }
    step->body = body;
    step->more = is_more;
    step->offset = 0;
    Py_ssize_t size = step->view.len;
    if (call->no_content) {
        step->offset = size; /* nothing of it is passed on */
    }
    else if (call->length_left >= 0) {
        if (size > call->length_left) {
            release_body(step);
            PyErr_SetString(PyExc_RuntimeError, "Response content longer than Content-Length");
            return -1;
        }
        call->length_left -= size;
        step->short_body = !step->more && call->length_left > 0;
    }
    if (!step->more) {
        call->order = COMPLETE;
    }
    return 0;
}

/* Whether a record may refer to the memory of body instead of holding a copy:
 * it cannot change, and the front is in this process. */
static bool
may_lend(Link *link, PyObject *body)
{
    if (!link->memory.in_process || !PyBytes_CheckExact(body)) {
        return false;
    }
    if (link->loan_count == LOANS) {
        link_reclaim(link);
    }
    return link->loan_count < LOANS;
}

/* Passes on what room and credit allow. 1: all of it; 0: the rest must wait. */
static int
pass_body(Step *step)
{
    Call *call = step->call;
    Link *link = call->link;
    for (;;) {
        Py_ssize_t left = step->view.len - step->offset;
        Py_ssize_t part = left < MAX_PART ? left : MAX_PART;
        if (part > call->credit) {
            part = call->credit;
        }
        if (part == 0 && left > 0) {
            return 0; /* no credit: REC_CREDIT will wake us */
        }
        bool start = !call->head_sent;
        bool last = part == left;
        if (!start && part == 0 && step->more) {
            return 1; /* an empty part says nothing */
        }
        bool lend = part >= LEND_MIN && may_lend(link, step->body);
        uint64_t size = sizeof(Record) + (lend ? sizeof(Lent) : (uint64_t)part) +
                        (start ? sizeof(StartFields) + call->head_size : 0);
        Record *record = link_reserve(link, size);
        if (record == NULL) {
            call_owe(call, OWE_ROOM);
            return 0;
        }
        /* A body that is shorter than its Content-Length is never completed. */
        bool more = !last || step->more || step->short_body;
        *record = (Record){
            .size = (uint32_t)size,
            .kind = start ? REC_START : REC_PART,
            .flags = (uint8_t)((more ? FLAG_MORE : 0) | (lend ? FLAG_LENT : 0)),
            .aux = start ? call->status : 0,
            .slot = call->slot,
            .serial = call->serial,
        };
        uint8_t *data = (uint8_t *)(record + 1);
        if (start) {
            StartFields fields = {call->header_count, call->head_size, lend ? 0 : (uint32_t)part, 0};
            memcpy(data, &fields, sizeof(fields));
            data += sizeof(fields);
            if (call->head_size > 0) {
                memcpy(data, call->head, call->head_size);
                data += call->head_size;
            }
            PyMem_RawFree(call->head);
            call->head = NULL;
            call->head_sent = true;
        }
        const char *from = (const char *)step->view.buf + step->offset;
        if (lend) {
            Lent lent = {(uint64_t)(uintptr_t)from, (uint64_t)part};
            memcpy(data, &lent, sizeof(lent));
        }
        else if (part > 0) {
            memcpy(data, from, (size_t)part);
        }
        link_commit(link, size);
        if (lend) {
            link_lend(link, step->body);
        }
        call->credit -= (uint32_t)part;
        step->offset += part;
        if (last) {
            return 1;
        }
    }
}

static PySendResult
send_step(Step *step, PyObject **result)
{
    Call *call = step->call;
    State *state = call->link->state;
    if (call->gone || (call->ended && !call->complete)) {
        PyErr_SetString(state->client_disconnected,
                        call->ended ? "the application has ended this request" : "the client has disconnected");
        return fail(step);
    }
    if (!step->begun) {
        if (!its_turn(&call->senders, step)) {
            return suspend(step, result);
        }
        /* Messages and headers may be Python code, which may step others. */
        enqueue(step);
        PyObject *type = message_type(step);
        if (type == NULL) {
            return fail(step);
        }
        bool start = type == state->s_http_response_start || PyUnicode_Compare(type, state->s_http_response_start) == 0;
        bool body = !start &&
                    (type == state->s_http_response_body || PyUnicode_Compare(type, state->s_http_response_body) == 0);
        int ok = 0;
        if (!start && !body) {
            PyErr_Format(PyExc_RuntimeError, "Expected ASGI message '%s', but got '%U'.",
                         call->order == EXPECT_START ? "http.response.start" : "http.response.body", type);
            ok = -1;
        }
        else if (call->order == COMPLETE) {
            ok = 1; /* ignored */
        }
        else if (start != (call->order == EXPECT_START)) {
            PyErr_Format(PyExc_RuntimeError, "Expected ASGI message '%s', but got '%U'.",
                         start ? "http.response.body" : "http.response.start", type);
            ok = -1;
        }
        else if (start) {
            ok = begin_start(step) < 0 ? -1 : 1;
        }
        else {
            ok = begin_body(step);
        }
        Py_DECREF(type);
        if (ok < 0) {
            return fail(step);
        }
        if (ok == 1) {
            goto returned;
        }
        step->begun = true;
    }
    if (!pass_body(step)) {
        return suspend(step, result);
    }
    if (!step->more) {
        call->complete = !step->short_body;
        queue_wake(&call->receivers, true); /* http.disconnect for who waits */
    }
    if (step->short_body) {
        call->gone = true;
        PyErr_SetString(PyExc_RuntimeError, "Response content shorter than Content-Length");
        return fail(step);
    }
returned:
    finish(step);
    *result = Py_NewRef(Py_None);
    return PYGEN_RETURN;
}

/* ----------------------------------------------------------- the coroutine */

static PySendResult
step_am_send(PyObject *self, PyObject *Py_UNUSED(value), PyObject **result)
{
    Step *step = (Step *)self;
    *result = NULL;
    if (step->state == STEP_DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (step->state == STEP_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return PYGEN_ERROR;
    }
    Link *link = step->call->link;
    const char *unusable = link_unusable(link);
    if (unusable != NULL) {
        PyErr_Format(PyExc_RuntimeError, "%s() of an ASGI application: %s", step->kind == RECEIVE ? "receive" : "send",
                     unusable);
        return PYGEN_ERROR;
    }
    if (step->state == STEP_NEW) {
        int yield = overdrawn(link);
        if (yield < 0) {
            return fail(step);
        }
        if (yield) {
            enqueue(step);
            step->state = STEP_YIELDED;
            *result = Py_NewRef(Py_None);
            return PYGEN_NEXT;
        }
    }
    step->state = STEP_RUNNING;
    return step->kind == RECEIVE ? receive_step(step, result) : send_step(step, result);
}

/* The result of a step as an iterator gives it. */
static PyObject *
unwrap(PySendResult outcome, PyObject *result, bool bare)
{
    if (outcome != PYGEN_RETURN) {
        return result;
    }
    if (result != Py_None) {
        PyErr_SetObject(PyExc_StopIteration, result); /* an event, a dict */
    }
    else if (!bare) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    Py_DECREF(result);
    return NULL;
}

static PyObject *
step_iternext(PyObject *self)
{
    PyObject *result;
    PySendResult outcome = step_am_send(self, Py_None, &result);
    return unwrap(outcome, result, true); /* NULL without an exception is StopIteration(None) */
}

static PyObject *
step_send(PyObject *self, PyObject *value)
{
    if (value != Py_None && ((Step *)self)->state == STEP_NEW) {
        PyErr_SetString(PyExc_TypeError, "can't send non-None value to a just-started coroutine");
        return NULL;
    }
    PyObject *result;
    PySendResult outcome = step_am_send(self, value, &result);
    return unwrap(outcome, result, false);
}

static PyObject *
step_throw(PyObject *self, PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL;
    if (!PyArg_UnpackTuple(args, "throw", 1, 3, &type, &value, &traceback)) {
        return NULL;
    }
    Step *step = (Step *)self;
    if (step->state == STEP_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return NULL;
    }
    if (step->state == STEP_DONE) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    finish(step);
    if (PyExceptionInstance_Check(type)) {
        if (traceback != NULL && traceback != Py_None && PyException_SetTraceback(type, traceback) < 0) {
            return NULL;
        }
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    }
    else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, value == NULL ? Py_None : value);
    }
    else {
        PyErr_Format(PyExc_TypeError, "exceptions must be classes or instances deriving from BaseException, not %.200s",
                     Py_TYPE(type)->tp_name);
    }
    return NULL;
}

static PyObject *
step_close(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (((Step *)self)->state == STEP_RUNNING) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
        return NULL;
    }
    finish((Step *)self);
    Py_RETURN_NONE;
}

static PyObject *
step_name(PyObject *self, void *Py_UNUSED(closure))
{
    Step *step = (Step *)self;
    State *state = step->call->link->state;
    return Py_NewRef(step->kind == RECEIVE ? state->s_receive : state->s_send);
}

static PyObject *
step_cr_await(PyObject *self, void *Py_UNUSED(closure))
{
    Step *step = (Step *)self;
    return Py_NewRef(step->state == STEP_WAITING ? step->future : Py_None);
}

static PyObject *
get_none(PyObject *Py_UNUSED(self), void *Py_UNUSED(closure))
{
    Py_RETURN_NONE;
}

static PyObject *
step_cr_running(PyObject *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Step *)self)->state == STEP_RUNNING);
}

static PyObject *
step_cr_suspended(PyObject *self, void *Py_UNUSED(closure))
{
    uint8_t state = ((Step *)self)->state;
    return PyBool_FromLong(state == STEP_WAITING || state == STEP_YIELDED);
}

static PyObject *
step_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<coroutine object goasgi.%s at %p>",
                                ((Step *)self)->kind == RECEIVE ? "receive" : "send", self);
}

static void
step_dealloc(PyObject *self)
{
    Step *step = (Step *)self;
    PyTypeObject *type = Py_TYPE(self);
    finish(step);
    Py_DECREF(step->call);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef step_methods[] = {
    {"send", step_send, METH_O, PyDoc_STR("send(value)\n--\n\nStep the coroutine; value is ignored.")},
    {"throw", step_throw, METH_VARARGS,
     PyDoc_STR("throw(type, value=None, traceback=None)\n--\n\nEnd the coroutine by raising the exception.")},
    {"close", step_close, METH_NOARGS, PyDoc_STR("close()\n--\n\nEnd the coroutine.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef step_getset[] = {
    {"__name__", step_name, NULL, NULL, NULL},
    {"__qualname__", step_name, NULL, NULL, NULL},
    {"cr_await", step_cr_await, NULL, NULL, NULL},
    {"cr_frame", get_none, NULL, NULL, NULL},
    {"cr_code", get_none, NULL, NULL, NULL},
    {"cr_origin", get_none, NULL, NULL, NULL},
    {"cr_running", step_cr_running, NULL, NULL, NULL},
    {"cr_suspended", step_cr_suspended, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot step_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("The coroutine that receive() and send() return.")},
    {Py_tp_dealloc, step_dealloc},
    {Py_tp_repr, step_repr},
    {Py_tp_methods, step_methods},
    {Py_tp_getset, step_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, step_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, step_am_send},
    {0, NULL},
};

PyType_Spec step_spec = {
    .name = "goasgi._bridge.Step",
    .basicsize = sizeof(Step),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = step_slots,
};

/* ------------------------------------------------------- receive and send */

static PyObject *
step_new(Call *call, uint8_t kind, PyObject *message)
{
    PyTypeObject *type = call->link->state->step_type;
    Step *step = (Step *)type->tp_alloc(type, 0);
    if (step != NULL) {
        step->call = (Call *)Py_NewRef(call);
        step->kind = kind;
        step->message = Py_XNewRef(message);
    }
    return (PyObject *)step;
}

static PyObject *
receive_vectorcall(PyObject *self, PyObject *const *Py_UNUSED(args), size_t nargsf, PyObject *keywords)
{
    if (PyVectorcall_NARGS(nargsf) != 0 || (keywords != NULL && PyTuple_GET_SIZE(keywords) != 0)) {
        PyErr_SetString(PyExc_TypeError, "receive() takes no arguments");
        return NULL;
    }
    return step_new(((Channel *)self)->call, RECEIVE, NULL);
}

static PyObject *
send_vectorcall(PyObject *self, PyObject *const *args, size_t nargsf, PyObject *keywords)
{
    Py_ssize_t positional = PyVectorcall_NARGS(nargsf);
    Py_ssize_t named = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    bool right = positional + named == 1;
    if (right && named == 1) {
        right = PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "message") == 0;
    }
    if (!right) {
        PyErr_SetString(PyExc_TypeError, "send() takes exactly one argument, the message");
        return NULL;
    }
    return step_new(((Channel *)self)->call, SEND, args[0]);
}

PyObject *
channel_new(Call *call, uint8_t kind)
{
    State *state = call->link->state;
    PyTypeObject *type = kind == RECEIVE ? state->receive_type : state->send_type;
    Channel *channel = (Channel *)type->tp_alloc(type, 0);
    if (channel != NULL) {
        channel->vectorcall = kind == RECEIVE ? receive_vectorcall : send_vectorcall;
        channel->call = (Call *)Py_NewRef(call);
    }
    return (PyObject *)channel;
}

static void
channel_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_DECREF(((Channel *)self)->call);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
channel_name(PyObject *self, void *Py_UNUSED(closure))
{
    State *state = ((Channel *)self)->call->link->state;
    return Py_NewRef(((Channel *)self)->vectorcall == receive_vectorcall ? state->s_receive : state->s_send);
}

static PyObject *
channel_mark(PyObject *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(((Channel *)self)->call->link->state->coroutine_mark);
}

static PyGetSetDef channel_getset[] = {
    {"__name__", channel_name, NULL, NULL, NULL},
    {"__qualname__", channel_name, NULL, NULL, NULL},
#if PY_VERSION_HEX >= 0x030C0000
    {"_is_coroutine_marker", channel_mark, NULL, "for inspect.iscoroutinefunction()", NULL},
#else
    {"_is_coroutine", channel_mark, NULL, "for asyncio.iscoroutinefunction()", NULL},
#endif
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef channel_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Channel, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getset, channel_getset},
    {Py_tp_members, channel_members},
    {0, NULL},
};

PyType_Spec receive_spec = {
    .name = "goasgi._bridge.receive",
    .basicsize = sizeof(Channel),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = channel_slots,
};

PyType_Spec send_spec = {
    .name = "goasgi._bridge.send",
    .basicsize = sizeof(Channel),
    .flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = channel_slots,
};
