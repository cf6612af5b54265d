"""A Flask application under a2wsgi, which makes receive() and send() in threads of its own."""

import a2wsgi
import flask

site = flask.Flask(__name__)


@site.get("/")
def index():
    return "hello from WSGI"


@site.post("/length")
def length():
    return {"length": len(flask.request.get_data())}


@site.get("/stream")
def stream():
    return flask.Response((b"%05d;" % n * 1000 for n in range(50)), mimetype="text/plain")


@site.get("/error")
def error():
    raise RuntimeError("wanted")


app = a2wsgi.WSGIMiddleware(site)
