"""The ``chatkit`` command, and ``python -m chatkit``."""

from __future__ import annotations

import sys

from chatkit.dialects.openai_chatkit.installation import find_problem

__all__ = ["main"]


def main() -> int:
    """Runs the command with the process's arguments and returns its exit code, as :func:`chatkit.cli.main` does.

    Where another distribution has overwritten this one's files, it says what to do and returns 1.
    """
    problem = find_problem()
    if problem is not None and problem.is_fatal:
        sys.stderr.write(f"chatkit: {problem.message}\n")
        return 1
    # Not before: it imports what may be another distribution's.
    from chatkit.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
