#include "embed.h"

#include "bridge.h"

#include <signal.h>

PyMODINIT_FUNC PyInit__bridge(void);

const char *
embed_version(void)
{
    static char version[32];
    const char *text = Py_GetVersion(); /* "3.13.0 (main, …" */
    size_t n = strcspn(text, " ");
    snprintf(version, sizeof(version), "%.*s", (int)(n < 31 ? n : 31), text);
    return version;
}

static int
initialize(const char *executable, char *error, size_t size)
{
    PyStatus status;
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    /* The front owns the signals. Without Python's own set-up these two, which
     * make write() fail instead of killing the process, are ours to ignore. */
    config.install_signal_handlers = 0;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    char *argv[] = {"goasgi"};
    status = PyConfig_SetBytesArgv(&config, 1, argv);
    if (!PyStatus_Exception(status)) {
        /* From these getpath finds pyvenv.cfg and with it sys.prefix. */
        status = PyConfig_SetBytesString(&config, &config.program_name, executable);
    }
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(&config, &config.executable, executable);
    }
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        snprintf(error, size, "%s%s%s", status.func ? status.func : "", status.func ? ": " : "",
                 status.err_msg ? status.err_msg : "unknown error");
        return -1;
    }
    return 0;
}

int
embed_run(const char *executable, const char *script, const char *data, char *error, size_t size)
{
    if (PyImport_AppendInittab("goasgi._bridge", PyInit__bridge) < 0) {
        snprintf(error, size, "no memory");
        return -1;
    }
    if (initialize(executable, error, size) < 0) {
        return -1;
    }
    int status = 1;
    PyObject *globals = PyDict_New();
    PyObject *text = PyUnicode_FromString(data);
    if (globals != NULL && text != NULL && PyDict_SetItemString(globals, "data", text) == 0) {
        PyObject *r = PyRun_String(script, Py_file_input, globals, globals);
        PyObject *value = r == NULL ? NULL : PyDict_GetItemString(globals, "status");
        if (value != NULL && PyLong_Check(value)) {
            status = (int)PyLong_AsLong(value);
        }
        Py_XDECREF(r);
    }
    if (PyErr_Occurred()) {
        PyErr_Print();
    }
    Py_XDECREF(text);
    Py_XDECREF(globals);
    PyEval_SaveThread(); /* threads of the application may still want the GIL */
    return status;
}
