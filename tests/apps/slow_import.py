"""An import that takes long, in C."""

import ctypes

print("importing", flush=True)
ctypes.PyDLL(None).sleep(20)


async def app(scope, receive, send):
    raise AssertionError("never called")
