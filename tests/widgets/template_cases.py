"""Templates and data, and what the installed ``chatkit`` builds of them; runs on any ``chatkit``.

Run as a program it prints the answers as JSON, by the name of the case.
"""

from __future__ import annotations

import datetime
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from chatkit.widgets import WidgetTemplate

ORDER = str(Path(__file__).with_name("templates") / "order.widget")
LINE = {"id": "tea", "name": 'Tee "grün" </b> ☕', "amount": 2, "price": 3.5}


class Line(BaseModel):
    id: str
    name: str = Field(alias="label")
    amount: int = 1
    price: float


class Order(BaseModel):
    title: str
    note: str | None = None
    lines: list[Line]


class Meeting(BaseModel):
    at: datetime.datetime
    place: None = None


def card(content: str) -> str:
    return '{"type":"Card","children":[' + content + "]}"


def text(value: str) -> str:
    return card('{"type":"Text","value":' + value + "}")


# Template, data.
BUILT: dict[str, tuple[str, Any]] = {
    "no data": (card(""), None),
    "empty data": (card(""), {}),
    "string": (text("{{ x | tojson }}"), {"x": "a \"b\" <c> & 'd' \\ \n ü ☃ \U0001f600"}),
    "in quotes": (text('"{{ x }}"'), {"x": "<a> & 'b'"}),
    "number": (text("{{ x }}"), {"x": 1.5}),
    "large number": (text("{{ x | tojson }}"), {"x": 12345678901234567890}),
    "none": (text("{{ x | tojson }}"), {"x": None}),
    "truth": (text("{{ x | tojson }}"), {"x": True}),
    "nested": (text("{{ x | tojson }}"), {"x": {"b": [1, {"c": None}], "a": (1, 2)}}),
    "unused": (card(""), {"x": object()}),
    "condition": (card('{% if x %}{"type":"Divider"}{% else %}{"type":"Spacer"}{% endif %}'), {"x": 0}),
    "defined": (text("{% if x is defined %}1{% else %}2{% endif %}"), {}),
    "default": (text("{{ x | default('y') | tojson }}"), {}),
    "loop": (
        card(
            '{%- for x in xs -%}\n{"type":"Text","value":"{{ loop.index }}"}{{ "," if not loop.last }}{%- endfor -%}'
        ),
        {"xs": [1, 2, 3]},
    ),
    "macro": (
        card(
            '{% macro t(v) %}{"type":"Text","value":{{ v | tojson }}}{% endmacro %}{{ t("a") }},{{ t("b") }}'
        ),
        {},
    ),
    "set": (text("{% set y = x + 1 %}{{ y }}"), {"x": 1}),
    "comment": (text("{# nothing #}1"), {}),
    "filters": (text("{{ xs | join('-') | upper | tojson }}"), {"xs": ["a", "b"]}),
    "raw": (text('"{% raw %}{{ x }}{% endraw %}"'), {}),
    "range": (text('"{% for i in range(3) %}{{ i }}{% endfor %}"'), {}),
    "list view": ('{"type":"ListView","limit":2,"children":[{"type":"ListViewItem","children":[]}]}', {}),
    "basic": ('{"type":"Basic","padding":2,"children":{"type":"Col","children":[]}}', {}),
    "unknown component": (card('{"type":"Hologram","depth":{{ x }}}'), {"x": 3}),
    "table": (card('{"type":"Table","columns":["a"],"children":[{"type":"Table.Row","children":[]}]}'), {}),
    "null properties": (
        '{"type":"Card","theme":null,"children":[{"type":"Text","value":null,"q":{"a":null}}]}',
        {},
    ),
    "key twice": ('{"type":"Card","size":"sm","size":"md"}', {}),
    "not a number": ('{"type":"Card","x":NaN}', {}),
    "model": (text("{{ title | tojson }}"), Order(title="t", lines=[])),
    "model of models": (
        text("{{ lines | tojson }}"),
        Order(title="t", lines=[Line(label="l", id="i", price=1)]),
    ),
    "model's name of a field": (
        text("{{ lines[0].name | tojson }}"),
        Order(title="t", lines=[Line(label="l", id="i", price=1)]),
    ),
    "model's time": (
        text('"{{ at }} {{ at.year }} {{ place }}"'),
        Meeting(at=datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC)),
    ),
    "missing value": (text("{{ x }}"), {}),
    "missing attribute": (text("{{ x.y }}"), {"x": {}}),
    "missing attribute of a model": (text("{{ label }}"), Line(label="l", id="i", price=1)),
    "truth without tojson": (text("{{ x }}"), {"x": True}),
    "quote in quotes": (text('"{{ x }}"'), {"x": '"'}),
    "no json": ('{"type":', {}),
    "no type": ("{}", {}),
    "a list": ("[]", {}),
    "no root": ('{"type":"Text","value":"x"}', {}),
    "child is no component": (card("1"), {}),
    "child without a type": (card("{}"), {}),
    "data is a list": (card(""), [1]),
    "division": (text("{{ 1 / x }}"), {"x": 0}),
    "inclusion": ('{% include "x" %}', {}),
}
"""Cases by name: a template and its data."""

DEFINITIONS: dict[str, Any] = {
    "whole": {"version": "1.0", "name": "n", "template": card(""), "jsonSchema": {}},
    "no schema": {"version": "1.0", "name": "n", "template": card("")},
    "further keys": {"version": "1.0", "name": "n", "template": card(""), "jsonSchema": {}, "preview": 1},
    "no version": {"name": "n", "template": card(""), "jsonSchema": {}},
    "no name": {"version": "1.0", "template": card(""), "jsonSchema": {}},
    "no template": {"version": "1.0", "name": "n", "jsonSchema": {}},
    "other version": {"version": "2.0", "name": "n", "template": card(""), "jsonSchema": {}},
    "version as a number": {"version": 1.0, "name": "n", "template": card(""), "jsonSchema": {}},
    "template is an object": {"version": "1.0", "name": "n", "template": {"type": "Card"}, "jsonSchema": {}},
    "bad template": {"version": "1.0", "name": "n", "template": "{{ x ", "jsonSchema": {}},
    "unknown tag": {"version": "1.0", "name": "n", "template": "{% do x %}", "jsonSchema": {}},
    "empty": {},
}


def answer(act: Callable[[], Any]) -> Any:
    """Returns what the call returns as JSON, or what kinds of error it raises."""
    try:
        return {"class": (made := act()).__class__.__name__, "sent": json.loads(made.model_dump_json())}
    except Exception as error:  # noqa: BLE001 -- which kinds it has is the answer
        return {"errors": [kind.__name__ for kind in type(error).__mro__ if not _is_ours(kind)]}


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("chatkit")


def answers() -> dict[str, Any]:
    """Returns the answers by the name of the case."""
    found: dict[str, Any] = {}
    for name, (template, data) in BUILT.items():
        made = WidgetTemplate({"version": "1.0", "name": name, "template": template, "jsonSchema": {}})
        found[f"build: {name}"] = answer(lambda made=made, data=data: made.build(data))
        found[f"build_basic: {name}"] = answer(lambda made=made, data=data: made.build_basic(data))
    for name, definition in DEFINITIONS.items():
        found[f"definition: {name}"] = answer(
            lambda definition=definition: WidgetTemplate(definition).build()
        )
    order = WidgetTemplate.from_file(ORDER)
    relative = WidgetTemplate.from_file("templates/order.widget")
    assert (order.version, order.name, order.data_schema) == (
        relative.version,
        relative.name,
        relative.data_schema,
    )
    for name, data in {
        "dictionary": {"title": "Tea", "note": "soon", "lines": [LINE, LINE]},
        "without a note": {"title": "Tea", "lines": [LINE]},
        "empty": {"title": "Tea", "lines": []},
        "model": Order(title="Tea", lines=[Line(label="Assam", id="a", price=2)]),
    }.items():
        found[f"order: {name}"] = answer(lambda data=data: order.build(data))
    found["order: no file"] = answer(lambda: WidgetTemplate.from_file("none.widget"))
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    json.dump(answers(), sys.stdout)
