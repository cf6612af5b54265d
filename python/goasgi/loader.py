"""Finds the application that the command line names, and says what is wrong if it cannot."""

import difflib
import inspect
import os
import pkgutil
import sys

from .log import format_exception

DEFAULTS = ("app", "application")  # the attribute, when none is named


class LoadError(Exception):
    """The application cannot be loaded. The text is for the user; it needs no traceback of ours."""


async def load(name, *, factory=False, app_dir="", log=None):
    """Imports ``module:attribute.attribute`` and returns an ASGI 3 callable.

    It runs on the event loop, so that an application may start tasks or open
    clients while it is imported.
    """
    module_name, attributes = _split(name)
    _search(name, app_dir)
    module = _import(name, module_name)
    found, app = _attribute(name, module, attributes)
    return await prepare(app, f'"{module_name}:{found}"', factory=factory, log=log)


async def prepare(app, what, *, factory=False, log=None):
    """Turns the object that was found into an ASGI 3 callable. what names it in messages."""
    if not factory and callable(app) and _looks_like_factory(app):
        factory = True
        if log:
            log.warning(f"{what} takes no arguments, so it is called as a factory; --factory says so explicitly.")
    if factory:
        if not callable(app):
            raise LoadError(f"goasgi: cannot call {what}: it is {_kind(app)}, where --factory needs a function")
        try:
            app = app()
            if inspect.isawaitable(app):
                app = await app
        except Exception as exc:
            raise LoadError(f"goasgi: the factory {what} raised\n{format_exception(exc)}") from exc
        what = f"what {what} returned"
    return _callable(app, what)


def _split(name):
    module, colon, attributes = name.partition(":")
    if module.endswith(".py") or "/" in module:
        guess = module.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
        raise LoadError(
            f'goasgi: cannot load "{name}": expected a module, not a file: "{guess}:{attributes or DEFAULTS[0]}"'
        )
    parts = [*module.split("."), *(attributes.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts):
        raise LoadError(f'goasgi: cannot load "{name}": expected "module:attribute", as in "main:app"')
    return module, attributes


def _search(name, app_dir):
    """Makes the application's directory the first that modules are looked for in."""
    path = os.path.abspath(app_dir or os.getcwd())
    if app_dir and not os.path.isdir(path):
        raise LoadError(f'goasgi: cannot load "{name}": --app-dir {app_dir} is not a directory')
    if sys.path[:1] != [path]:
        sys.path.insert(0, path)


def _import(name, module_name):
    try:
        # Unlike importlib.import_module, __import__ leaves no frames of importlib in tracebacks.
        __import__(module_name)
        return sys.modules[module_name]
    except ModuleNotFoundError as exc:
        if _is_missing(exc, module_name):
            raise LoadError(_not_found(name, module_name, exc)) from None
        error = exc
    except SyntaxError as exc:
        error = exc
    except Exception as exc:
        error = exc
    raise LoadError(f'goasgi: cannot load "{name}": importing {module_name} failed\n{format_exception(error)}')


def _is_missing(exc, module_name):
    """Whether it is the module asked for that is missing, rather than one that it imports."""
    missing = exc.name or ""
    if missing != module_name and not module_name.startswith(missing + "."):
        return False
    frames = exc.__traceback__
    while frames.tb_next:
        frames = frames.tb_next
    return frames.tb_frame.f_code is _import.__code__


def _not_found(name, module_name, exc):
    parent, _, last = exc.name.rpartition(".")
    if parent:
        package = sys.modules.get(parent)
        path = getattr(package, "__path__", None)
        if path is None:
            return (
                f'goasgi: cannot load "{name}": module {exc.name} not found, for {parent} is no package{_at(package)}'
            )
        path = list(path)
        where = f"package {parent} has"
    else:
        path = sys.path
        where = "there is"
    names = {info.name for info in pkgutil.iter_modules(path)} - sys.stdlib_module_names
    close = [f"{parent}.{n}" if parent else n for n in difflib.get_close_matches(last, names, 3, 0.7)]
    text = f'goasgi: cannot load "{name}": module {exc.name} not found'
    if close:
        text += f" ({where} {', '.join(close)})"
    searched = "\n".join(f"  {entry}" for entry in dict.fromkeys(entry or os.getcwd() for entry in path))
    return f"{text}; looked in\n{searched}\n--app-dir names another directory to look in first"


def _at(module):
    file = getattr(module, "__file__", None)
    return f" ({file})" if file else ""


def _attribute(name, module, attributes):
    if not attributes:
        for default in DEFAULTS:
            if hasattr(module, default):
                return default, getattr(module, default)
        raise LoadError(
            f'goasgi: cannot load "{name}": module {module.__name__} has neither "app" nor "application"'
            f"{_offers(module, DEFAULTS[0])}"
        )
    value, path = module, []
    for attribute in attributes.split("."):
        try:
            value = getattr(value, attribute)
        except AttributeError:
            owner = f"module {module.__name__}" if value is module else f"{'.'.join(path)} ({_kind(value)})"
            raise LoadError(
                f'goasgi: cannot load "{name}": {owner} has no attribute "{attribute}"{_offers(value, attribute)}'
            ) from None
        path.append(attribute)
    return attributes, value


def _offers(owner, wanted):
    """Which callables there are, the likeliest first, for an error message."""
    module = inspect.ismodule(owner)
    names = []
    for attribute in list(vars(owner)) if module else dir(owner):  # a module's in the order of its lines
        value = inspect.getattr_static(owner, attribute, None)
        if attribute.startswith("_") or not (callable(value) or isinstance(value, (classmethod, staticmethod))):
            continue
        imported = inspect.isclass(value) or inspect.isroutine(value)
        if imported and module and getattr(value, "__module__", None) != owner.__name__:
            continue
        names.append(attribute)
    if not names:
        file = getattr(owner, "__file__", None)
        return f"; nothing in {file} can be called" if file else ""
    close = difflib.get_close_matches(wanted, names, len(names), 0.6)
    names = close + [n for n in names if n not in close]
    more = ", …" if len(names) > 8 else ""
    return f" (it has: {', '.join(names[:8])}{more})"


def _looks_like_factory(app):
    return not inspect.isclass(app) and _takes(app, 0) and not _takes(app, 3)


def _callable(app, what):
    if not callable(app):
        hint = f"; expected an object in it, as in {app.__name__}:app" if inspect.ismodule(app) else ""
        raise LoadError(f"goasgi: cannot call {what}: it is {_kind(app)}{hint or ', not an ASGI application'}")
    if inspect.isclass(app):
        if hasattr(app, "__await__") and _takes(app, 3):
            return _Instance(app)
        if _takes(app, 1) and _instances_take(app, 2):
            return _Double(app)
        raise LoadError(f"goasgi: cannot call {what}: it is {_kind(app)}, not an instance of it")
    if _takes(app, 3):
        return app
    if _takes(app, 2):
        raise LoadError(
            f"goasgi: {what} is a WSGI application (it takes two arguments, environ and start_response); "
            "this version serves ASGI: wrap it in asgiref.wsgi.WsgiToAsgi or a2wsgi.WSGIMiddleware"
        )
    if _takes(app, 1):
        return _Double(app)
    raise LoadError(
        f"goasgi: cannot call {what}: it is {_kind(app)} that takes other arguments than the three of ASGI: "
        "scope, receive, send"
    )


def _takes(function, count):
    """Whether it can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:
        return count == 3  # written in C and without a signature: believed
    return True


def _instances_take(cls, count):
    """Whether instances of the class can be called with so many positional arguments."""
    call = next((base.__dict__["__call__"] for base in cls.__mro__ if "__call__" in base.__dict__), None)
    return call is not None and _takes(call, count + 1)


class _Instance:
    """An application that is a class of awaitables: ``await App(scope, receive, send)``."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class _Double:
    """An ASGI 2 application: ``await app(scope)(receive, send)``."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        scope["asgi"] = {**scope["asgi"], "version": "2.0"}
        await self.app(scope)(receive, send)


def _kind(value):
    name = type(value).__name__
    if value is None:
        return "None"
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
