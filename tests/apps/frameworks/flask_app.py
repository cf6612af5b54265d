import a2wsgi
from flask import Flask, Response, make_response, redirect, request

site = Flask(__name__)
app = a2wsgi.WSGIMiddleware(site)


@site.get("/")
def hello():
    return "hello"


@site.get("/items/<int:id>")
def item(id):
    return {"id": id, "q": request.args["q"]}


@site.post("/json")
def echo():
    return request.get_json()


@site.post("/length")
def length():
    return {"length": len(request.get_data())}


@site.post("/upload")
def upload():
    file = request.files["file"]
    return {"name": file.filename, "length": len(file.read()), "field": request.form["field"]}


@site.get("/stream")
def stream():
    return Response(b"%04d;" % n * 500 for n in range(50))


@site.get("/cookie")
def cookie():
    response = make_response(request.cookies["a"])
    response.set_cookie("b", "2")
    return response


@site.get("/redirect")
def away():
    return redirect("/")


@site.get("/error")
def error():
    raise RuntimeError("the error (wanted)")
