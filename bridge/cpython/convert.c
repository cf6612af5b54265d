/* Records to Python objects and back: the scope of a request, the head of a
 * response. */
#include "bridge.h"

/* ------------------------------------------------------------------- scope */

/* What is left of a record's data. */
typedef struct {
    const uint8_t *at, *end;
} Span;

/* The next n bytes, or NULL if there are not so many. */
static const char *
take(Span *span, uint64_t n)
{
    if (n > (uint64_t)(span->end - span->at)) {
        return NULL;
    }
    const char *bytes = (const char *)span->at;
    span->at += n;
    return bytes;
}

static PyObject *
corrupt(const char *what)
{
    PyErr_Format(PyExc_SystemError, "BUG: goasgi: record of a request with %s", what);
    return NULL;
}

static PyObject *
method_object(State *state, const char *text, size_t size)
{
    PyObject *known[] = {state->s_get,     state->s_post,  state->s_head,   state->s_put,
                         state->s_delete_, state->s_patch, state->s_options};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(known); i++) {
        if ((size_t)PyUnicode_GET_LENGTH(known[i]) == size && memcmp(PyUnicode_1BYTE_DATA(known[i]), text, size) == 0) {
            return Py_NewRef(known[i]);
        }
    }
    return PyUnicode_DecodeLatin1(text, (Py_ssize_t)size, NULL);
}

/* (host, port), or (path, None) for a Unix socket; None if there is no host. */
static PyObject *
address(PyObject *host, int32_t port)
{
    PyObject *number = port < 0 ? Py_NewRef(Py_None) : PyLong_FromLong(port);
    PyObject *pair = number == NULL ? NULL : PyTuple_Pack(2, host, number);
    Py_XDECREF(number);
    return pair;
}

static bool
equals(PyObject *text, const char *bytes, size_t size)
{
    Py_ssize_t length;
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &length);
    if (utf8 == NULL) {
        PyErr_Clear();
        return false;
    }
    return (size_t)length == size && memcmp(utf8, bytes, size) == 0;
}

static PyObject *
server_address(Link *link, const char *host, size_t size, int32_t port)
{
    if (size == 0) {
        return Py_NewRef(Py_None);
    }
    if (link->server_pair != NULL && equals(PyTuple_GET_ITEM(link->server_pair, 0), host, size)) {
        PyObject *known = PyTuple_GET_ITEM(link->server_pair, 1);
        if (known == Py_None ? port < 0 : PyLong_AsLong(known) == port) {
            return Py_NewRef(link->server_pair);
        }
    }
    PyObject *text = PyUnicode_DecodeUTF8(host, (Py_ssize_t)size, "surrogateescape");
    PyObject *pair = text == NULL ? NULL : address(text, port);
    Py_XDECREF(text);
    Py_XSETREF(link->server_pair, Py_XNewRef(pair));
    return pair;
}

static PyObject *
client_address(Link *link, const char *host, size_t size, int32_t port)
{
    if (size == 0) {
        return Py_NewRef(Py_None);
    }
    if (!equals(link->client_host, host, size)) {
        Py_XSETREF(link->client_host, PyUnicode_DecodeUTF8(host, (Py_ssize_t)size, "surrogateescape"));
        if (link->client_host == NULL) {
            return NULL;
        }
    }
    PyObject **cached = &link->client_pairs[(uint32_t)port % CLIENTS];
    if (*cached != NULL && PyTuple_GET_ITEM(*cached, 0) == link->client_host) {
        PyObject *known = PyTuple_GET_ITEM(*cached, 1);
        if (known == Py_None ? port < 0 : PyLong_AsLong(known) == port) {
            return Py_NewRef(*cached);
        }
    }
    PyObject *pair = address(link->client_host, port);
    Py_XSETREF(*cached, Py_XNewRef(pair));
    return pair;
}

/* A header of a well-known name. The last pair is kept and used again while the
 * value stays the same, as it does for most names on most connections. */
static PyObject *
known_header(Link *link, unsigned number, const char *value, uint32_t size)
{
    PyObject **cached = &link->header_pairs[number];
    if (*cached != NULL) {
        PyObject *last = PyTuple_GET_ITEM(*cached, 1);
        if ((uint32_t)PyBytes_GET_SIZE(last) == size && memcmp(PyBytes_AS_STRING(last), value, size) == 0) {
            return Py_NewRef(*cached);
        }
    }
    PyObject *bytes = PyBytes_FromStringAndSize(value, size);
    PyObject *pair = bytes == NULL ? NULL : PyTuple_Pack(2, link->header_names[number], bytes);
    Py_XDECREF(bytes);
    if (pair != NULL && size <= CACHED_VALUE && !link->secret[number]) {
        Py_XSETREF(*cached, Py_NewRef(pair));
    }
    return pair;
}

static PyObject *
headers_list(Link *link, unsigned count, Span span)
{
    if ((size_t)(span.end - span.at) < (size_t)count * 6) {
        return corrupt("fewer headers than it says");
    }
    PyObject *list = PyList_New(count);
    if (list == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t name;
        uint32_t size;
        const char *fields = take(&span, 6);
        if (fields == NULL) {
            goto broken;
        }
        memcpy(&name, fields, 2);
        memcpy(&size, fields + 2, 4);
        PyObject *pair;
        if (name & KNOWN_NAME) {
            unsigned number = name & ~KNOWN_NAME;
            const char *value = take(&span, size);
            if (value == NULL || number >= KNOWN_MAX || link->header_names[number] == NULL) {
                goto broken;
            }
            pair = known_header(link, number, value, size);
        }
        else {
            const char *text = take(&span, name);
            const char *value = text == NULL ? NULL : take(&span, size);
            if (value == NULL) {
                goto broken;
            }
            PyObject *n = PyBytes_FromStringAndSize(text, name);
            PyObject *v = PyBytes_FromStringAndSize(value, size);
            pair = n == NULL || v == NULL ? NULL : PyTuple_Pack(2, n, v);
            Py_XDECREF(n);
            Py_XDECREF(v);
        }
        if (pair == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SET_ITEM(list, i, pair);
    }
    if (span.at != span.end) {
        Py_DECREF(list);
        return corrupt("bytes behind its headers");
    }
    return list;
broken:
    Py_DECREF(list);
    return corrupt("a header longer than its room");
}

static int
put(PyObject *dict, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        return -1;
    }
    int r = PyDict_SetItem(dict, key, value);
    Py_DECREF(value);
    return r;
}

/* The path as the scope has it: root_path is contained in it. */
static PyObject *
path_object(Link *link, const char *path, size_t size)
{
    PyObject *text = PyUnicode_DecodeUTF8(path, (Py_ssize_t)size, "replace");
    if (text != NULL && PyUnicode_GET_LENGTH(link->root_path) > 0) {
        Py_SETREF(text, PyUnicode_Concat(link->root_path, text));
    }
    return text;
}

PyObject *
scope_from_record(Link *link, const Record *record, const uint8_t **body, uint32_t *body_size, bool *is_head)
{
    State *state = link->state;
    Span span = {(const uint8_t *)(record + 1), (const uint8_t *)record + record->size};
    OpenFields f;
    const char *fixed = take(&span, sizeof(f));
    if (fixed == NULL) {
        return corrupt("less than its fixed part");
    }
    memcpy(&f, fixed, sizeof(f));
    const char *method = take(&span, f.method);
    const char *raw_path = method == NULL ? NULL : take(&span, f.raw_path);
    bool same = f.path == (uint32_t)SAME_PATH;
    const char *path = raw_path == NULL || same ? raw_path : take(&span, f.path);
    const char *query = path == NULL ? NULL : take(&span, f.query);
    const char *client = query == NULL ? NULL : take(&span, f.client_host);
    const char *server = client == NULL ? NULL : take(&span, f.server_host);
    const char *headers = server == NULL ? NULL : take(&span, f.headers);
    *body = headers == NULL ? NULL : (const uint8_t *)take(&span, f.body);
    if (*body == NULL || span.at != span.end || f.body > WINDOW) {
        return corrupt("lengths that do not add up");
    }
    if (f.type != 0 || f.version > 3 || f.secure > 1) {
        return corrupt("a type or version that cannot be");
    }
    *body_size = f.body;
    *is_head = f.method == 4 && memcmp(method, "HEAD", 4) == 0;

    PyObject *scope = PyDict_Copy(link->http_scope);
    if (scope == NULL) {
        return NULL;
    }
    PyObject *versions[] = {state->s_v10, state->s_v11, state->s_v2, state->s_v3};
    Span header_span = {(const uint8_t *)headers, (const uint8_t *)headers + f.headers};
    if (put(scope, state->s_asgi, PyDict_Copy(link->asgi_versions)) < 0 ||
        (f.version != 1 && PyDict_SetItem(scope, state->s_http_version, versions[f.version]) < 0) ||
        put(scope, state->s_server, server_address(link, server, f.server_host, f.server_port)) < 0 ||
        put(scope, state->s_client, client_address(link, client, f.client_host, f.client_port)) < 0 ||
        (f.secure && PyDict_SetItem(scope, state->s_scheme, state->s_https) < 0) ||
        put(scope, state->s_method, method_object(state, method, f.method)) < 0 ||
        put(scope, state->s_path, path_object(link, path, same ? f.raw_path : f.path)) < 0 ||
        put(scope, state->s_raw_path, PyBytes_FromStringAndSize(raw_path, f.raw_path)) < 0 ||
        put(scope, state->s_query_string, PyBytes_FromStringAndSize(query, f.query)) < 0 ||
        put(scope, state->s_header_names, headers_list(link, f.header_count, header_span)) < 0 ||
        (link->lifespan_state != NULL && put(scope, state->s_state, PyDict_Copy(link->lifespan_state)) < 0)) {
        Py_DECREF(scope);
        return NULL;
    }
    return scope;
}

/* The templates that every scope is copied from. */
int
convert_start(Link *link, PyObject *root_path)
{
    State *state = link->state;
    link->root_path = Py_NewRef(root_path);
    link->asgi_versions =
        Py_BuildValue("{OOOO}", state->s_version, state->s_asgi3, state->s_spec_version, state->s_spec23);
    link->http_scope = PyDict_New();
    if (link->asgi_versions == NULL || link->http_scope == NULL) {
        return -1;
    }
    PyObject *items[][2] = {
        {state->s_type, state->s_http}, {state->s_asgi, Py_None},         {state->s_http_version, state->s_v11},
        {state->s_server, Py_None},     {state->s_client, Py_None},       {state->s_scheme, state->s_http},
        {state->s_method, Py_None},     {state->s_root_path, root_path},  {state->s_path, Py_None},
        {state->s_raw_path, Py_None},   {state->s_query_string, Py_None}, {state->s_header_names, Py_None},
        {state->s_state, Py_None},
    };
    size_t count = Py_ARRAY_LENGTH(items) - (link->lifespan_state == NULL);
    for (size_t i = 0; i < count; i++) {
        if (PyDict_SetItem(link->http_scope, items[i][0], items[i][1]) < 0) {
            return -1;
        }
    }
    return 0;
}

void
convert_clear(Link *link)
{
    for (size_t i = 0; i < KNOWN_MAX; i++) {
        Py_CLEAR(link->header_names[i]);
        Py_CLEAR(link->header_pairs[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        Py_CLEAR(link->client_pairs[i]);
    }
    Py_CLEAR(link->client_host);
    Py_CLEAR(link->server_pair);
    Py_CLEAR(link->http_scope);
    Py_CLEAR(link->asgi_versions);
    Py_CLEAR(link->root_path);
}

/* -------------------------------------------------------------------- head */

/* RFC 9110 section 5.6.2: token = 1*tchar. */
static const uint8_t IS_TCHAR[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1,
    ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1, ['0'] = 1,  ['1'] = 1, ['2'] = 1, ['3'] = 1, ['4'] = 1,
    ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['A'] = 1,  ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1,
    ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1, ['K'] = 1,  ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1,
    ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1, ['T'] = 1, ['U'] = 1,  ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1,
    ['Z'] = 1, ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,  ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,
    ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1,  ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1,
    ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1,  ['z'] = 1,
};

static bool
name_is_token(const uint8_t *name, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        if (!IS_TCHAR[name[i]]) {
            return false;
        }
    }
    return size > 0;
}

/* RFC 9110 section 5.5: "Field values containing CR, LF, or NUL characters are
 * invalid and dangerous"; the other control characters except HTAB are too. */
static bool
value_is_clean(const uint8_t *value, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        if ((value[i] < 0x20 && value[i] != '\t') || value[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes the Content-Length of a response; -1 with an exception if it is none. */
static int
content_length(Call *call, const uint8_t *value, Py_ssize_t size)
{
    int64_t length = 0;
    for (Py_ssize_t i = 0; i < size; i++) {
        if (value[i] < '0' || value[i] > '9' || length > (INT64_MAX - 9) / 10) {
            size = 0;
            break;
        }
        length = length * 10 + (value[i] - '0');
    }
    if (size == 0 || (call->length_left >= 0 && call->length_left != length)) {
        PyErr_SetString(PyExc_RuntimeError, "Invalid Content-Length header value.");
        return -1;
    }
    call->length_left = length;
    return 0;
}

/* One header of a response; NULL with an exception if it is not a pair of bytes. */
static PyObject **
header_pair(PyObject *pair)
{
    PyObject **items = NULL;
    if (PyTuple_Check(pair) && PyTuple_GET_SIZE(pair) == 2) {
        items = &PyTuple_GET_ITEM(pair, 0);
    }
    else if (PyList_Check(pair) && PyList_GET_SIZE(pair) == 2) {
        items = ((PyListObject *)pair)->ob_item;
    }
    if (items == NULL || !PyBytes_Check(items[0]) || !PyBytes_Check(items[1])) {
        PyErr_Format(PyExc_TypeError,
                     "the \"headers\" of http.response.start are pairs (name, value) of bytes; got %.200R", pair);
        return NULL;
    }
    return items;
}

static int
status_of(PyObject *message, State *state)
{
    PyObject *value = PyObject_GetItem(message, state->s_status);
    if (value == NULL) {
        if (PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_SetString(PyExc_RuntimeError, "http.response.start has no \"status\"; expected an int");
        }
        return -1;
    }
    int overflow = 0;
    long status = PyLong_Check(value) ? PyLong_AsLongAndOverflow(value, &overflow) : -1;
    if (status < 200 || status > 999) {
        PyErr_Format(PyLong_Check(value) ? PyExc_RuntimeError : PyExc_TypeError,
                     "the \"status\" of http.response.start is an int from 200 to 999; got %.200R", value);
        status = -1;
    }
    Py_DECREF(value);
    return (int)status;
}

/* Checks http.response.start and keeps its head in the call as REC_START carries
 * it. The head is encoded at once, so that later changes to the message do not
 * reach it. */
int
head_from_message(Call *call, PyObject *message)
{
    State *state = call->link->state;
    int status = status_of(message, state);
    if (status < 0) {
        return -1;
    }
    PyObject *headers = PyObject_GetItem(message, state->s_header_names);
    if (headers == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_KeyError)) {
            return -1;
        }
        PyErr_Clear();
    }
    PyObject *list = headers == NULL
                         ? PyTuple_New(0)
                         : PySequence_Fast(headers, "the \"headers\" of http.response.start are an iterable of pairs");
    Py_XDECREF(headers);
    if (list == NULL) {
        return -1;
    }
    call->length_left = -1;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(list);
    PyObject **pairs = PySequence_Fast_ITEMS(list);
    uint64_t size = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject **pair = header_pair(pairs[i]);
        if (pair == NULL) {
            goto failed;
        }
        const uint8_t *name = (const uint8_t *)PyBytes_AS_STRING(pair[0]);
        const uint8_t *value = (const uint8_t *)PyBytes_AS_STRING(pair[1]);
        Py_ssize_t name_size = PyBytes_GET_SIZE(pair[0]), value_size = PyBytes_GET_SIZE(pair[1]);
        if (!name_is_token(name, name_size)) {
            PyErr_SetString(PyExc_RuntimeError, "Invalid HTTP header name.");
            goto failed;
        }
        if (!value_is_clean(value, value_size)) {
            PyErr_SetString(PyExc_RuntimeError, "Invalid HTTP header value.");
            goto failed;
        }
        if (name_size == 14 && PyOS_strnicmp((const char *)name, "content-length", 14) == 0 &&
            content_length(call, value, value_size) < 0) {
            goto failed;
        }
        size += 8 + (uint64_t)name_size + (uint64_t)value_size;
    }
    if (size > MAX_HEAD) {
        PyErr_Format(PyExc_RuntimeError, "the \"headers\" of http.response.start are %llu bytes long; at most %d fit",
                     (unsigned long long)size, MAX_HEAD);
        goto failed;
    }
    char *head = PyMem_RawMalloc(size + 1);
    if (head == NULL) {
        PyErr_NoMemory();
        goto failed;
    }
    char *at = head;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject **pair = header_pair(pairs[i]);
        uint32_t name_size = (uint32_t)PyBytes_GET_SIZE(pair[0]), value_size = (uint32_t)PyBytes_GET_SIZE(pair[1]);
        memcpy(at, &name_size, 4);
        memcpy(at + 4, &value_size, 4);
        memcpy(at + 8, PyBytes_AS_STRING(pair[0]), name_size);
        memcpy(at + 8 + name_size, PyBytes_AS_STRING(pair[1]), value_size);
        at += 8 + (size_t)name_size + value_size;
    }
    Py_DECREF(list);
    PyMem_RawFree(call->head);
    call->head = head;
    call->head_size = (uint32_t)size;
    call->header_count = (uint32_t)count;
    call->status = (uint16_t)status;
    return 0;
failed:
    Py_DECREF(list);
    call->length_left = -1;
    return -1;
}
