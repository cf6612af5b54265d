/* A call: one connection scope, from the record that opens it to the record
 * that says that its coroutine has ended.
 *
 * References: link->calls[slot] owns the call until it has ended; receive, send
 * and every step own it too, so that an application may keep them for ever. A
 * running call owns its task, and the task's frames own receive and send: a
 * cycle that call_end breaks, which is why none of these types takes part in
 * garbage collection.
 */
#include "bridge.h"

Call *
call_new(Link *link, uint32_t slot, uint32_t serial)
{
    PyTypeObject *type = link->state->call_type;
    Call *call = (Call *)type->tp_alloc(type, 0);
    if (call != NULL) {
        call->link = (Link *)Py_NewRef(link);
        call->slot = slot;
        call->serial = serial;
        call->length_left = -1;
        call->credit = WINDOW;
    }
    return call;
}

static void
call_dealloc(PyObject *self)
{
    Call *call = (Call *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyMem_RawFree(call->head);
    Py_XDECREF(call->part);
    Py_XDECREF(call->task);
    Py_DECREF(call->link);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ------------------------------------------------- what the front is owed */

/* Tells the front what; later, in call_pay, if the ring has no room now. */
void
call_owe(Call *call, uint8_t what)
{
    Link *link = call->link;
    call->owed |= what;
    if (call->owing || (what != OWE_ROOM && call_pay(call)) || call->owing || link->closed) {
        return;
    }
    call->owing = true;
    call->next_owing = link->owing;
    link->owing = (Call *)Py_NewRef(call);
}

/* Pays what is owed; false if the ring has no room for all of it. */
bool
call_pay(Call *call)
{
    Link *link = call->link;
    if (call->owed & OWE_ROOM) {
        call->owed &= ~OWE_ROOM;
        queue_wake(&call->senders, false);
    }
    if (call->owed & OWE_TAKEN) {
        uint64_t size = sizeof(Record) + sizeof(uint32_t);
        Record *record = link_reserve(link, size);
        if (record == NULL) {
            return false;
        }
        *record = (Record){.size = (uint32_t)size, .kind = REC_TAKEN, .slot = call->slot, .serial = call->serial};
        memcpy(record + 1, &call->taken, sizeof(uint32_t));
        link_commit(link, size);
        call->taken = 0;
        call->owed &= ~OWE_TAKEN;
    }
    if (call->owed & OWE_WANT) {
        if (!link_plain(link, REC_WANT, call)) {
            return false;
        }
        call->owed &= ~OWE_WANT;
    }
    if (call->owed & OWE_END) { /* the last word */
        if (!link_plain(link, REC_END, call)) {
            return false;
        }
        call->owed &= ~OWE_END;
    }
    return true;
}

/* receive() has returned size bytes; credit goes back by half windows. */
void
call_take(Call *call, uint32_t size)
{
    call->taken += size;
    if (call->body_more && !call->ended && call->taken >= WINDOW / 2) {
        call_owe(call, OWE_TAKEN);
    }
}

/* ------------------------------------------------------ what the front says */

/* Copies a part of the request body; runs no Python code. 1: the front had no
 * credit for it; -1 with an exception: no memory. call_body_came follows. */
int
call_body(Call *call, const uint8_t *data, uint32_t size, bool more)
{
    Py_ssize_t before = call->part == NULL ? 0 : PyBytes_GET_SIZE(call->part);
    if (before + size > WINDOW || !call->body_more) {
        return 1;
    }
    if (size > 0) {
        if (before <= 1) { /* the interpreter shares bytes of length 1 */
            PyObject *part = PyBytes_FromStringAndSize(NULL, before + size);
            if (part != NULL && before == 1) {
                PyBytes_AS_STRING(part)[0] = PyBytes_AS_STRING(call->part)[0];
            }
            Py_XSETREF(call->part, part);
        }
        else {
            _PyBytes_Resize(&call->part, before + size);
        }
        if (call->part == NULL) {
            return -1;
        }
        memcpy(PyBytes_AS_STRING(call->part) + before, data, size);
    }
    call->body_more = more;
    return 0;
}

/* Tells who waits for the part that call_body took. */
void
call_body_came(Call *call, int outcome)
{
    if (outcome < 0) { /* the body can never be complete */
        PyErr_WriteUnraisable((PyObject *)call);
        call_disconnect(call, true);
        return;
    }
    queue_wake(&call->receivers, false);
}

void
call_disconnect(Call *call, bool gone)
{
    call->left = true;
    call->gone |= gone;
    queue_wake(&call->receivers, true);
    if (gone) {
        queue_wake(&call->senders, true);
    }
    if (call->link->cancel_on_disconnect && !call->complete) {
        call_cancel(call);
    }
}

void
call_cancel(Call *call)
{
    if (call->task == NULL || call->cancelled) {
        return;
    }
    call->cancelled = true;
    PyObject *r = PyObject_CallMethodNoArgs(call->task, call->link->state->s_cancel);
    if (r == NULL) {
        PyErr_WriteUnraisable(call->task);
    }
    Py_XDECREF(r);
}

/* ------------------------------------------------------ the application's task */

static void
report(Call *call, PyObject *exception, const char *text)
{
    State *state = call->link->state;
    PyObject *callback = Py_NewRef(call->link->report); /* it may close the link */
    PyObject *message = PyUnicode_FromString(text);
    if (message != NULL) {
        PyObject *args[] = {exception == NULL ? Py_None : exception, state->s_http, message};
        PyObject *r = PyObject_Vectorcall(callback, args, 3, NULL);
        Py_XDECREF(r);
        Py_DECREF(message);
    }
    Py_DECREF(callback);
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable((PyObject *)call);
    }
}

/* The coroutine has ended: with result, or with the exception being raised. */
static void
call_end(Call *call, PyObject *result)
{
    Link *link = call->link;
    State *state = link->state;
    if (call->ended) { /* the link was closed meanwhile */
        if (result == NULL) {
            PyErr_WriteUnraisable((PyObject *)call);
        }
        return;
    }
    call->ended = true;
    PyObject *exception = result == NULL ? take_exception() : NULL;
    if (exception != NULL) {
        bool expected = (call->gone && PyErr_GivenExceptionMatches(exception, state->client_disconnected)) ||
                        (call->cancelled && !PyErr_GivenExceptionMatches(exception, PyExc_Exception) &&
                         !PyErr_GivenExceptionMatches(exception, PyExc_SystemExit) &&
                         !PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt));
        if (!expected) {
            report(call, exception, "");
        }
        Py_DECREF(exception);
    }
    else if (!call->complete && !call->left && !call->gone) {
        report(call, NULL,
               call->order == EXPECT_START ? "ASGI callable returned without starting response."
                                           : "ASGI callable returned without completing response.");
    }
    else if (result != Py_None) {
        report(call, NULL, "ASGI callable should return None.");
    }
    /* Unless report() has closed the link. */
    bool listed = link->call_count > call->slot && link->calls[call->slot] == call;
    if (listed) {
        link->calls[call->slot] = NULL;
    }
    PyMem_RawFree(call->head);
    call->head = NULL;
    Py_CLEAR(call->part);
    Py_CLEAR(call->task);
    queue_wake(&call->receivers, true);
    queue_wake(&call->senders, true);
    call_owe(call, OWE_END);
    if (listed) {
        Py_DECREF(call); /* the reference of link->calls */
    }
}

/* The task's done callback, when it did not end at once. */
static PyObject *
call_task_done(PyObject *self, PyObject *task)
{
    Call *call = (Call *)self;
    if (!call->ended) {
        PyObject *result = PyObject_CallMethodNoArgs(task, call->link->state->s_result);
        call_end(call, result);
        Py_XDECREF(result);
    }
    Py_RETURN_NONE;
}

static PyMethodDef task_done_method = {"task_done", call_task_done, METH_O, NULL};

/* app(scope, receive, send), as a coroutine. */
static PyObject *
call_app(Call *call, PyObject *scope)
{
    State *state = call->link->state;
    PyObject *receive = channel_new(call, RECEIVE);
    PyObject *send = channel_new(call, SEND);
    PyObject *coroutine = NULL;
    if (receive != NULL && send != NULL) {
        PyObject *args[] = {scope, receive, send};
        PyObject *app = Py_NewRef(call->link->app);
        coroutine = PyObject_Vectorcall(app, args, 3, NULL);
        Py_DECREF(app);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    if (coroutine == NULL || PyCoro_CheckExact(coroutine)) {
        return coroutine;
    }
    PyObject *is_coroutine = PyObject_CallOneArg(state->iscoroutine, coroutine);
    if (is_coroutine == Py_False) { /* another awaitable */
        Py_SETREF(coroutine, PyObject_CallOneArg(state->as_coroutine, coroutine));
    }
    else if (is_coroutine == NULL) {
        Py_CLEAR(coroutine);
    }
    Py_XDECREF(is_coroutine);
    return coroutine;
}

/* asyncio.Task(coroutine, loop=loop, eager_start=True). Made and initialized
 * apart, so that the keywords are the same dict each time, and so that the task
 * is still in hand when SystemExit or KeyboardInterrupt comes out of its start:
 * the exception is the task's result too, and must be fetched from it, or it is
 * logged as never retrieved. */
static PyObject *
eager_task(Link *link, PyObject *coroutine)
{
    PyTypeObject *type = link->state->task_type;
    PyObject *args = PyTuple_Pack(1, coroutine);
    PyObject *task = args == NULL ? NULL : type->tp_new(type, args, NULL);
    if (task != NULL && type->tp_init(task, args, link->task_keywords) < 0) {
        PyObject *raised = take_exception();
        PyObject *result = PyObject_CallMethodNoArgs(task, link->state->s_exception);
        if (result == NULL) {
            PyErr_Clear(); /* it was not initialized at all */
        }
        Py_XDECREF(result);
        Py_CLEAR(task);
        PyErr_SetRaisedException(raised);
    }
    Py_XDECREF(args);
    return task;
}

/* Runs the application, to its end if it does not wait for anything. The call's
 * first reference passes to link->calls, which the caller has filled. */
void
call_run(Call *call, PyObject *scope)
{
    Link *link = call->link;
    State *state = link->state;
    PyObject *task = NULL;
    PyObject *coroutine = call_app(call, scope);
    if (coroutine != NULL) {
        if (link->eager) {
            task = eager_task(link, coroutine);
        }
        else {
            task = PyObject_CallMethodOneArg(link->loop, state->s_create_task, coroutine);
        }
        Py_DECREF(coroutine);
    }
    if (task == NULL) {
        call_end(call, NULL);
        return;
    }
    PyObject *done = PyObject_CallMethodNoArgs(task, state->s_done);
    if (done == Py_True) {
        PyObject *result = PyObject_CallMethodNoArgs(task, state->s_result);
        call_end(call, result);
        Py_XDECREF(result);
    }
    else {
        PyObject *callback = done == NULL ? NULL : PyCFunction_New(&task_done_method, (PyObject *)call);
        PyObject *r = callback == NULL ? NULL : PyObject_CallMethodOneArg(task, state->s_add_done_callback, callback);
        Py_XDECREF(callback);
        if (r == NULL) {
            call_end(call, NULL);
        }
        else {
            if (!call->ended) {
                call->task = Py_NewRef(task);
            }
            Py_DECREF(r);
        }
    }
    Py_XDECREF(done);
    Py_DECREF(task);
}

static PyType_Slot call_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("One connection scope.")},
    {Py_tp_dealloc, call_dealloc},
    {0, NULL},
};

PyType_Spec call_spec = {
    .name = "goasgi._bridge.Call",
    .basicsize = sizeof(Call),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = call_slots,
};
