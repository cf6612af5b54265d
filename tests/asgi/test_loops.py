"""asyncio and uvloop; a missing uvloop is an error only when it is asked for by name."""

import wire

HIDDEN = {"PYTHONPATH": "without_uvloop"}


def test_chosen_by_name(serve, loop):
    server = serve("loops:app", "--loop", loop)
    assert wire.once(server.port, "/name").body.decode().startswith({"asyncio": "asyncio.", "uvloop": "uvloop"}[loop])
    assert loop in server.output()


def test_auto_takes_uvloop_if_it_is_there(serve):
    server = serve("loops:app")
    assert wire.once(server.port, "/name").body == b"uvloop"


def test_auto_does_without_uvloop(serve):
    server = serve("loops:app", env=HIDDEN)
    assert wire.once(server.port, "/name").body.startswith(b"asyncio.")


def test_uvloop_by_name_must_be_there(serve):
    server = serve("loops:app", "--loop", "uvloop", env=HIDDEN, wait=False)
    assert server.wait() == 1
    assert "--loop uvloop" in server.output()
    assert "Traceback" not in server.output()


def test_features_of_the_loop(serve, loop):
    server = serve("loops:app", "--loop", loop)
    for _ in range(3):
        assert wire.once(server.port, "/features").body == b"fine", server.output()
    assert server.stop() == 0


def test_asynchronous_generators_are_closed_at_the_end(serve, loop):
    server = serve("loops:app", "--loop", loop)
    assert wire.once(server.port, "/generators").body == b"left"
    assert server.stop() == 0
    assert "generator closed" in server.output()


def test_descriptors_are_given_back(serve, loop):
    server = serve("loops:app", "--loop", loop)
    wire.once(server.port, "/features")
    before = server.descriptors() + 2
    for _ in range(50):
        wire.once(server.port, "/name")
    wire.eventually(lambda: server.descriptors() <= before, f"no more descriptors than {before}")
