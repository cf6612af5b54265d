import functools

import lookup

app = functools.partial(lookup.answer, b"package")
