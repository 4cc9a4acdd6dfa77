"""Answers what the installed ``chatkit`` says of two versions of a widget: a line of JSON in, one out.

A question is a list: the two versions, and whether they are built as templates build them. An answer is the list of
updates, or the name of an error.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

from pydantic import TypeAdapter

from chatkit.server import diff_widget
from chatkit.widgets import DynamicWidgetRoot, WidgetRoot

_ROOT = TypeAdapter(WidgetRoot)


def answer(before: Any, after: Any, dynamic: bool) -> Any:
    """Returns the updates between two versions as JSON."""
    read = DynamicWidgetRoot.model_validate if dynamic else _ROOT.validate_python
    versions = read(before), read(after)
    try:
        return [update.model_dump(mode="json", exclude_none=True) for update in diff_widget(*versions)]
    except Exception as error:  # noqa: BLE001 -- which kind it has is the answer
        return type(error).__name__


def main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)  # noqa: T201 -- it is a program


if __name__ == "__main__":
    main()
