import functools

import lookup

app = functools.partial(lookup.answer, b"module in a package")
