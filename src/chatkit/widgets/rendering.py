"""How a widget template becomes text. Only this module knows Jinja, and it is imported when a template is made."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from pydantic_core import PydanticSerializationError, to_jsonable_python

from chatkit.errors import WidgetTemplateError

__all__ = ["compile_template", "render"]


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


def compile_template(source: str, name: str) -> jinja2.Template:
    """Returns the template, compiled.

    Raises:
        WidgetTemplateError: It is no valid template; the message has the line.
    """
    try:
        return _environment().from_string(source)
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
