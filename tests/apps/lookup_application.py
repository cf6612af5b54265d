import functools

import lookup

application = functools.partial(lookup.answer, b"application")
