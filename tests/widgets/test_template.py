"""Widgets from templates: as the installed openai-chatkit 1.6.5 builds them, and what is checked beyond that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from chatkit.errors import ChatKitError, WidgetDataError, WidgetTemplateError
from chatkit.widgets import BasicRoot, DynamicWidgetRoot, WidgetTemplate
from tests.support.reference_package import openai_chatkit_python
from tests.support.scale import scaled

HERE = Path(__file__).parent
CASES = HERE / "template_cases.py"
ORDER = HERE / "templates" / "order.widget"
LINE = {"id": "tea", "name": "Tea", "amount": 2, "price": 3.5}


@cache
def answers_of(python: Path) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [python, CASES], env=environment, capture_output=True, text=True, timeout=scaled(100), check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_built_is_the_same() -> None:
    theirs, ours = answers_of(openai_chatkit_python()), answers_of(Path(sys.executable))
    built = {name: answer for name, answer in theirs.items() if "sent" in answer}
    assert len(built) >= 40
    # Compared as text: a NaN is not equal to itself.
    assert {name: json.dumps(ours[name]) for name in built} == {
        name: json.dumps(built[name]) for name in built
    }


def test_what_fails_there_fails_here_with_the_same_bases() -> None:
    theirs, ours = answers_of(openai_chatkit_python()), answers_of(Path(sys.executable))
    failures = {name: answer["errors"] for name, answer in theirs.items() if "errors" in answer}
    assert len(failures) > 20
    # Nobody can derive from pydantic's error; it is a ValueError, as ours are.
    missed = {
        name: set(kinds) - {"ValidationError"} - set(ours[name].get("errors", ()))
        for name, kinds in failures.items()
    }
    assert {name: kinds for name, kinds in missed.items() if kinds} == {}


def template(source: str, schema: Any = None, **rest: Any) -> WidgetTemplate:
    definition = {"version": "1.0", "name": "sample", "template": source, "jsonSchema": schema or {}, **rest}
    return WidgetTemplate(definition)


def text_of(source: str, schema: Any = None, *, validate: bool = False) -> WidgetTemplate:
    text = '{"type":"Card","children":[{"type":"Text","value":' + source + "}]}"
    definition = {"version": "1.0", "name": "sample", "template": text, "jsonSchema": schema or {}}
    return WidgetTemplate(definition, validate=validate)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
ANY_TEXT = text_of("{{ x | tojson }}")


@given(VALUES)
def test_any_value_arrives_as_it_was_given(value: Any) -> None:
    made: Any = ANY_TEXT.build({"x": value})
    assert made.children[0].value == value


def test_the_kinds_of_widgets() -> None:
    assert type(template('{"type":"Basic"}').build()) is DynamicWidgetRoot
    with pytest.warns(DeprecationWarning, match="build"):
        assert type(template('{"type":"Basic"}').build_basic()) is BasicRoot


def test_a_template_is_compiled_once() -> None:
    made = text_of("{{ x }}")
    compiled = made.template
    made.build({"x": 1})
    made.build({"x": 2})
    assert made.template is compiled
    assert isinstance(compiled, jinja2.Template)


def test_data_is_not_changed() -> None:
    data = {"x": {"b": [1]}}
    text_of("{% set y = x.b %}{{ y | tojson }}").build(data)
    assert data == {"x": {"b": [1]}}


def test_from_a_file_next_to_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("templates/order.widget", ORDER.relative_to(HERE), str(ORDER), ORDER):
        assert WidgetTemplate.from_file(path).name == "order"  # pyright: ignore[reportArgumentType]


def test_from_a_file_without_a_module(tmp_path: Path) -> None:
    (tmp_path / "sample.widget").write_bytes(b"\xef\xbb\xbf" + ORDER.read_bytes())
    program = (
        "from chatkit.widgets import WidgetTemplate; print(WidgetTemplate.from_file('sample.widget').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=scaled(60),
        check=False,
    )
    assert done.stdout == "order\n", done.stderr


def test_from_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "packed_widgets"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep" / "order.widget").write_bytes(ORDER.read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    assert WidgetTemplate.from_resource("packed_widgets", "deep/order.widget").name == "order"
    with pytest.raises(FileNotFoundError):
        WidgetTemplate.from_resource("packed_widgets", "none.widget")


@pytest.mark.parametrize("content", [b"nothing", b"[]", b"\xff\xfe", b'{"version":"1.0"}'])
def test_files_that_hold_no_template(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.widget"
    path.write_bytes(content)
    with pytest.raises(WidgetTemplateError):
        WidgetTemplate.from_file(path)


class Wrong(WidgetTemplate):
    """A subclass with a constructor of its own, as 1.6.5 calls it."""

    def __init__(self, definition: dict[str, Any]) -> None:
        super().__init__({**definition, "name": "mine"})


def test_a_subclass_is_made_of_its_own_class() -> None:
    made = Wrong.from_file("templates/order.widget")
    assert (type(made), made.name) == (Wrong, "mine")


SCHEMA = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "note": {"type": "string"},
        "nullable": {"type": ["string", "null"]},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "string"}}}},
        "choice": {"anyOf": [{"type": "integer"}, {"type": "object", "required": ["a"]}]},
    },
    "required": ["x"],
    "additionalProperties": False,
}


class Point(BaseModel):
    x: int
    note: str | None = None


@pytest.mark.parametrize(
    "data",
    [
        {"x": 1},
        {"x": 1, "note": None},
        {"x": 1, "nullable": None, "lines": [{"n": "a"}, {"n": None}, {}]},
        {"x": 1, "lines": ()},
        {"x": 1, "choice": {"a": 1}},
        Point(x=1),
        Point(x=1, note="n"),
    ],
)
def test_data_that_fits(data: Any) -> None:
    assert text_of('"{{ x }}"', SCHEMA, validate=True).build(data).children == text_of('"1"').build().children


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "'x' is a required property"),
        ({}, "'x' is a required property"),
        ({"x": "1"}, "$.x: '1' is not of type 'integer'"),
        ({"x": None}, "$.x: None is not of type 'integer'"),
        ({"x": 1, "y": 2}, "'y' was unexpected"),
        ({"x": 1, "lines": [{"n": "a"}, {"n": 1}]}, "$.lines[1].n: 1 is not of type 'string'"),
        ({"x": 1, "choice": {"b": 1}}, "$.choice: 'a' is a required property"),
        ({"x": "1", "note": 2}, "$.note: 2 is not of type 'string'; $.x: '1' is not of type 'integer'"),
    ],
)
def test_data_that_does_not_fit(data: Any, told: str) -> None:
    with pytest.raises(WidgetDataError, match="widget template 'sample'") as caught:
        text_of('"{{ x }}"', SCHEMA, validate=True).build(data)
    assert told in str(caught.value)
    assert isinstance(caught.value, ValueError)
    # What the data was is not for clients.
    assert caught.value.public_message == ChatKitError.default_message


def test_many_problems_are_counted() -> None:
    schema = {"properties": {name: {"type": "integer"} for name in "abcdefgh"}}
    with pytest.raises(WidgetDataError, match=r"; and 3 more$"):
        text_of("1", schema, validate=True).build(dict.fromkeys("abcdefgh", "x"))


def test_checking_is_asked_for() -> None:
    definition = json.loads(ORDER.read_text())
    data = {"title": "Tea", "lines": [], "more": 1}
    for made in (WidgetTemplate(definition), WidgetTemplate.from_file(ORDER)):
        assert made.build(data).type == "Card"
        with pytest.raises(WidgetDataError, match="'more' was unexpected"):
            made.build(data, validate=True)
    for made in (WidgetTemplate(definition, validate=True), WidgetTemplate.from_file(ORDER, validate=True)):
        assert made.build(data, validate=False).type == "Card"
        with pytest.raises(WidgetDataError, match="'more' was unexpected"):
            made.build(data)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (
            {"properties": {"label": {"type": "string"}}, "required": ["label"]},
            "'label' is a required property",
        ),
        ({"properties": {"name": {"type": "integer"}}}, "is not of type 'integer'"),
        ({"additionalProperties": False}, "'name' was unexpected"),
        ({"type": "nonsense"}, "is not checked"),
        ({"$ref": "https://schemas.example/none.json"}, "is not checked"),
    ],
)
def test_a_schema_that_does_not_fit_its_template_is_told_once(
    schema: Any, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    made = text_of("{{ name | tojson }}", schema)
    for name in ("Tea", "Milk"):
        built: Any = made.build({"name": name})
        assert built.children[0].value == name
    (message,) = caplog.messages
    assert told in message
    assert "sample" in message


def test_a_template_may_be_compiled_already() -> None:
    source = '{"type":"Card","children":[{"type":"Text","value":{{ x | tojson }}}]}'
    environment = jinja2.Environment(autoescape=False)
    for compiled in (jinja2.Template(source), environment.from_string(source), environment.parse(source)):
        made = WidgetTemplate(definition={"version": "1.0", "name": "mine", "template": compiled})
        built: Any = made.build({"x": "a"})
        assert built.children[0].value == "a"
    with pytest.raises(WidgetTemplateError, match=r"a string or a jinja2.Template, not a int") as caught:
        WidgetTemplate({"version": "1.0", "name": "mine", "template": 1})
    assert isinstance(caught.value, TypeError)


EXPORTED = (
    "{%- set _c -%}{%-for item in items -%},{{ (((INDEX + 1))) }} {{ item }}{%-endfor-%}{%- endset -%}"
    "{{- (_c[1:] if _c and _c[0] == ',' else _c) -}}"
)


@pytest.mark.parametrize("name", ["index", "i", "idx", "itemIndex", "row_index"])
def test_the_index_of_an_exported_loop(name: str) -> None:
    made = text_of('"' + EXPORTED.replace("INDEX", name) + '"')
    built: Any = made.build({"items": ["a", "b"]})
    assert built.children[0].value == "1 a,2 b"
    # What the data says goes before it.
    built = made.build({"items": ["a", "b"], name: 6})
    assert built.children[0].value == "7 a,7 b"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for r in rows %}{% for c in r %}{{ index }}{% endfor %};{% endfor %}", "01;01;"),
        ("{% for r in rows %}{{ index }}:{% for c in r %}{{ index }}{% endfor %};{% endfor %}", "0:01;1:01;"),
        (
            "{% for r in rows %}{{ i }}:{% for c in r %}{{ i }}{{ j }} {% endfor %};{% endfor %}",
            "0:00 01 ;1:10 11 ;",
        ),
        ("{% for r in rows %}{% if index %},{% endif %}{{ r[0] }}{% endfor %}", "a,c"),
        ("{% for r in rows %}{%- set index = loop.index0 * 2 -%}{{ index }}{% endfor %}", "02"),
        ("{% for index in rows %}{{ index }}{% endfor %}", "abcd"),
        ("{% macro m(xs) %}{% for x in xs %}{{ idx }}{% endfor %}{% endmacro %}{{ m(rows) }}", "01"),
        ("{% for r in rows %}{{ loop.index }}{% endfor %}", "12"),
    ],
)
def test_names_of_indices(source: str, text: str) -> None:
    built: Any = text_of('"' + source + '"').build({"rows": ["ab", "cd"]})
    assert built.children[0].value == text


@pytest.mark.parametrize("source", ["{{ index }}", "{% for r in rows %}{% endfor %}{{ i }}"])
def test_outside_of_a_loop_there_is_no_index(source: str) -> None:
    with pytest.raises(WidgetTemplateError, match="is undefined"):
        text_of('"' + source + '"').build({"rows": "ab"})


def test_schemas_that_are_none() -> None:
    with pytest.raises(WidgetTemplateError, match=r"'sample' is no valid schema: 'nonsense' is not valid"):
        text_of("1", {"type": "nonsense"}, validate=True).build()
    # Nothing is fetched from anywhere.
    with pytest.raises(WidgetTemplateError, match="cannot be checked"):
        text_of("1", {"$ref": "https://schemas.example/none.json"}, validate=True).build({})


@pytest.mark.parametrize(
    ("source", "data", "told"),
    [
        ('{"type":"Card"', {}, "renders to what is not JSON"),
        ('{"type":"Card","a":{{ x }}}', {"x": True}, "'{{ value | tojson }}'"),
        ('{"type":"Text"}', {}, "does not render to a widget"),
        ('{"type":"Card","a":{{ x }}}', {}, "'x' is undefined. Give the value to build()"),
        ('{"type":"Card","a":{{ x | tojson }}}', {}, "'x' is undefined. Give the value to build()"),
        (
            '{"type":"Card","a":{{ x | tojson }}}',
            {"x": {"y": object()}},
            "cannot be rendered: Unable to serialize",
        ),
        ('{"type":"Card","a":{{ x + 1 }}}', {"x": "a"}, "cannot be rendered"),
        ('{"type":"Card","a":{{ 1 / x }}}', {"x": 0}, "cannot be rendered: division by zero"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            {},
            "cannot be rendered: maximum recursion",
        ),
    ],
)
def test_messages_say_what_to_do(source: str, data: Any, told: str) -> None:
    with pytest.raises(WidgetTemplateError, match="The widget template 'sample'") as caught:
        template(source).build(data)
    assert told in str(caught.value)


def test_models_and_times_go_into_a_widget_as_they_go_over_the_wire() -> None:
    made: Any = text_of("{{ x | tojson }}").build({"x": [Point(x=1)]})
    assert made.children[0].value == [{"x": 1, "note": None}]
