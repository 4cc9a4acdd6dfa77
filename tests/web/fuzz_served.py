"""The application that requests are fuzzed against, by name for ``chatkit serve``."""

from tests.web.fuzz_application import make_application

app = make_application()
