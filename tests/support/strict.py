"""``python -m tests.support.strict PROGRAM``: runs a program with warnings as errors."""

from __future__ import annotations

import runpy
import sys
import warnings

if __name__ == "__main__":
    sys.argv.pop(0)
    warnings.simplefilter("error")
    runpy.run_path(sys.argv[0], run_name="__main__")
