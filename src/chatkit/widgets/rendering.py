"""How a widget template becomes text. Only this module knows Jinja, and it is imported when a template is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jinja2
from jinja2 import nodes
from pydantic_core import PydanticSerializationError, to_jsonable_python

from chatkit.errors import WidgetTemplateError

__all__ = ["compile_template", "render"]

_NAMES: Final = re.compile(r"i|j|k|idx|index|\w+(?:[iI]ndex|[iI]dx)")
_GIVEN: Final = "chatkit_given_"


# Each is also what applications of openai-chatkit, which lets Jinja's errors pass, may catch.
class _SyntaxError(WidgetTemplateError, jinja2.TemplateSyntaxError):
    """A template that Jinja cannot read."""

    def __init__(self, message: str, error: jinja2.TemplateSyntaxError) -> None:
        jinja2.TemplateSyntaxError.__init__(self, message, error.lineno, error.name, error.filename)


class _UndefinedError(WidgetTemplateError, jinja2.UndefinedError):
    """A template that uses a value that is not there."""


class _RenderingError(WidgetTemplateError, jinja2.TemplateError):
    """A template that uses a value in a way that it cannot be used in."""


class _ValueTypeError(WidgetTemplateError, TypeError):
    """A value of a type that the template cannot do with what it does."""


class _DivisionError(WidgetTemplateError, ZeroDivisionError):
    """A template that divides by a value that is zero."""


class _EndlessError(WidgetTemplateError, RecursionError):
    """A template whose macros call one another without an end."""


class _SourceTypeError(WidgetTemplateError, TypeError):
    """A template that is neither text nor anything that Jinja makes of it."""


def compile_template(source: object, name: str) -> jinja2.Template:
    """Returns the template, compiled; one that an application compiled is returned as it is.

    Raises:
        WidgetTemplateError: It is no valid template; the message has the line.
    """
    if isinstance(source, jinja2.Template):
        return source
    if not isinstance(source, str | nodes.Template):
        raise _SourceTypeError(
            f"The template of the widget template {name!r} must be a string or a jinja2.Template, not a "
            f"{type(source).__name__}."
        )
    try:
        environment = _environment()
        parsed = environment.parse(source) if isinstance(source, str) else source
        return environment.from_string(_define_loop_index(parsed))
    except jinja2.TemplateSyntaxError as error:
        raise _SyntaxError(f"The widget template {name!r} is not valid: {error.message}", error) from error


def render(template: jinja2.Template, values: dict[str, Any], name: str) -> str:
    """Returns the text that the template makes of the values.

    Raises:
        WidgetTemplateError: A value is missing, or is of a kind that the template cannot use.
    """
    problem = f"The widget template {name!r} cannot be rendered"
    try:
        return template.render(values)
    except jinja2.UndefinedError as error:
        raise _UndefinedError(f"{problem}: {error}. Give the value to build().") from error
    except jinja2.TemplateError as error:
        raise _RenderingError(f"{problem}: {error}") from error
    except (TypeError, PydanticSerializationError) as error:
        raise _ValueTypeError(f"{problem}: {error}") from error
    except ZeroDivisionError as error:
        raise _DivisionError(f"{problem}: {error}") from error
    except RecursionError as error:
        raise _EndlessError(f"{problem}: {error}") from error


@cache
def _environment() -> jinja2.Environment:
    # What comes out is JSON, which `tojson` escapes for; HTML's escapes would be shown as they are.
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
    # Times, decimals and models go into a widget as they go over the wire.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "default": _to_json}
    return environment


def _to_json(value: object) -> Any:
    if isinstance(value, jinja2.Undefined):
        # Raises what any other use of a missing value does, which names it.
        return str(value)
    return to_jsonable_python(value)


# The index of a loop has the names that widget editors give it: what they export does not always say what it is.


def _define_loop_index(template: nodes.Template) -> nodes.Template:
    """Gives the names of a loop's index a value, where neither the template nor the data does: ``loop.index0``.

    An editor's ``items.map((item, index) => ...)`` becomes a loop over ``items`` that uses ``index``; which loop a name
    belongs to is the innermost one that uses it. Only a name that an outer loop uses beside another one of the inner
    loop's stays the outer one's.

    Args:
        template: The parsed template, which is changed.
    """
    bound = {name.name for name in template.find_all(nodes.Name) if name.ctx != "load"}
    used: set[str] = set()
    for loop in _loops(template):
        used |= _define(loop, bound, frozenset())
    for name in sorted(used):
        test = nodes.Test(nodes.Name(name, "load"), "defined", [], [], None, None)
        template.body.insert(0, nodes.Assign(nodes.Name(_GIVEN + name, "store"), test, lineno=1))
    # What is made here has no line of its own.
    template.set_lineno(1)
    return template


def _define(loop: nodes.For, bound: set[str], outer: frozenset[str]) -> set[str]:
    own = {name for name in _used(loop) if _NAMES.fullmatch(name)} - bound
    if own - outer:
        own -= outer
    used = set(own)
    for inner in _loops(loop):
        used |= _define(inner, bound, outer | own)
    for name in sorted(own):
        index = nodes.Getattr(nodes.Name("loop", "load"), "index0", "load")
        value = nodes.CondExpr(nodes.Name(_GIVEN + name, "load"), nodes.Name(name, "load"), index)
        loop.body.insert(0, nodes.Assign(nodes.Name(name, "store"), value, lineno=loop.lineno))
    return used


def _loops(node: nodes.Node) -> Iterator[nodes.For]:
    """Yields the outermost loops in a node, of a loop those in its body."""
    for child in _children(node):
        if isinstance(child, nodes.For):
            yield child
        else:
            yield from _loops(child)


def _used(node: nodes.Node) -> Iterator[str]:
    """Yields the names that a loop's body uses, but for what stands in inner loops."""
    for child in _children(node):
        if isinstance(child, nodes.Name):
            yield child.name
        elif isinstance(child, nodes.For):
            # What it goes over is evaluated outside of it.
            yield from _names(child.iter)
        else:
            yield from _used(child)


def _names(node: nodes.Node) -> Iterator[str]:
    if isinstance(node, nodes.Name):
        yield node.name
    yield from _used(node)


def _children(node: nodes.Node) -> Iterator[nodes.Node]:
    return node.iter_child_nodes(only=("body",)) if isinstance(node, nodes.For) else node.iter_child_nodes()
