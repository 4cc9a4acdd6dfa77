"""Widgets from templates: a ``.widget`` file holds the JSON of a widget with places for data."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from pydantic import BaseModel, ValidationError
from typing_extensions import deprecated

from chatkit.errors import WidgetDataError, WidgetTemplateError
from chatkit.widgets.roots import BasicRoot, DynamicWidgetRoot

if TYPE_CHECKING:
    from types import ModuleType

    from jinja2 import Template

    from chatkit.widgets.template_data import DataChecker

__all__ = ["WidgetTemplate"]

logger = logging.getLogger("chatkit.widgets")

_VERSION: Final = "1.0"
_SHOWN: Final = 40

TRoot = TypeVar("TRoot", DynamicWidgetRoot, BasicRoot)


class _MissingKeyError(WidgetTemplateError, KeyError):
    """What 1.6.5 raises for a definition without one of its keys."""

    __str__ = Exception.__str__


class _NotJSONError(WidgetTemplateError, json.JSONDecodeError):
    """What 1.6.5 raises for a template that renders to something else."""

    def __init__(self, message: str, text: str, position: int) -> None:
        json.JSONDecodeError.__init__(self, message, text, position)


class _UnusableValueError(WidgetTemplateError, TypeError):
    """What 1.6.5 raises for a value that has no place in a widget."""


class WidgetTemplate:
    """A widget with places for data. It is compiled once, when it is made, and builds as many widgets as wanted.

    A definition is what widget editors export as a ``.widget`` file: ``version`` ("1.0"), ``name``, ``template`` (a
    Jinja template that renders to the JSON of a widget; values go in by ``{{ value | tojson }}``) and ``jsonSchema``
    (what the data has to be). Editors export schemas that do not fit their own template, so data that does not fit is
    logged as a warning, once a template; ``validate=True`` makes it an error. Templates are code: load none that users
    wrote.

    Attributes:
        version: Version of the format.
        name: What the widget is called.
        template: The compiled template.
        data_schema: JSON schema of the data; empty for any data.
        validate: Whether data that does not fit the schema is an error when a widget is built.
    """

    _warned = False

    def __init__(self, definition: dict[str, Any], *, validate: bool = False) -> None:
        """Compiles a template.

        Args:
            definition: The content of a ``.widget`` file; its template may be a compiled one of Jinja.
            validate: Whether data that does not fit the schema is an error when a widget is built.

        Raises:
            WidgetTemplateError: The definition is none of version 1.0, or its template is not valid.
        """
        fields = _checked(definition)
        self.version: str = fields["version"]
        self.name: str = fields["name"]
        self.data_schema: dict[str, Any] = fields.get("jsonSchema") or {}
        self.validate = validate
        from chatkit.widgets.rendering import compile_template

        self.template: Template = compile_template(fields["template"], self.name)

    @classmethod
    def from_file(cls, file_path: str | Path, *, validate: bool = False) -> WidgetTemplate:
        """Reads a template from a file.

        Args:
            file_path: Path of the ``.widget`` file, relative to the folder of the module that calls this.
            validate: Whether data that does not fit the schema is an error when a widget is built.

        Raises:
            FileNotFoundError: There is no such file.
            WidgetTemplateError: The file holds no valid template.
        """
        path = Path(file_path)
        if not path.is_absolute():
            frame = inspect.currentframe()
            caller = frame.f_back if frame is not None else None
            # What is typed into an interpreter has no file: then it is the working directory.
            module = caller.f_globals.get("__file__") if caller is not None else None
            path = (Path(module).parent if module else Path()) / path
        return cls._loaded(path.read_bytes(), str(path), validate=validate)

    @classmethod
    def from_resource(cls, package: str | ModuleType, name: str, *, validate: bool = False) -> WidgetTemplate:
        """Reads a template that lies in a package, also where packages are imported from archives.

        Args:
            package: The package, or its dotted name.
            name: Name of the file in it; folders are separated by ``/``.
            validate: Whether data that does not fit the schema is an error when a widget is built.

        Raises:
            FileNotFoundError: There is no such file in the package.
            ModuleNotFoundError: There is no such package.
            WidgetTemplateError: The file holds no valid template.
        """
        content = resources.files(package).joinpath(name).read_bytes()
        return cls._loaded(content, name, validate=validate)

    @classmethod
    def _loaded(cls, content: bytes, source: str, *, validate: bool) -> WidgetTemplate:
        try:
            definition = json.loads(content.decode("utf-8-sig"))
        except ValueError as error:
            raise WidgetTemplateError(f"{source} is no widget template: it is not JSON. {error}") from error
        template = cls(definition)
        template.validate = validate
        return template

    def build(
        self, data: dict[str, Any] | BaseModel | None = None, *, validate: bool | None = None
    ) -> DynamicWidgetRoot:
        """Returns a widget with the data in its places.

        Args:
            data: Values by name: a dictionary, or a model whose fields are the names; None if there are none.
            validate: Whether data that does not fit the schema is an error; None for what the template says.

        Raises:
            WidgetDataError: The data does not fit the schema, and that is to be an error; the message names each value.
            WidgetTemplateError: The template needs a value that is not there, or does not render to a widget.
        """
        return self._made(DynamicWidgetRoot, data, validate=validate)

    @deprecated("WidgetTemplate.build_basic() is deprecated: build() makes widgets of every root.")
    def build_basic(
        self, data: dict[str, Any] | BaseModel | None = None, *, validate: bool | None = None
    ) -> BasicRoot:
        """Returns a widget without a frame; like :meth:`build` for templates of a ``Basic`` root.

        Args:
            data: As in :meth:`build`.
            validate: As in :meth:`build`.

        Raises:
            WidgetDataError: As in :meth:`build`.
            WidgetTemplateError: The template needs a value that is not there, or does not render to a basic widget.
        """
        return self._made(BasicRoot, data, validate=validate)

    def _check(self, values: dict[str, Any], *, strict: bool) -> None:
        if not self.data_schema or (self._warned and not strict):
            return
        try:
            self._checker.check(values)
        except WidgetTemplateError as error:
            if strict:
                raise
            # A schema that is none, or cannot be checked, is no reason either to show nothing.
            self._warned = True
            what = "" if isinstance(error, WidgetDataError) else f"The data of {self.name!r} is not checked. "
            logger.warning(
                "%s%s. The widget is built all the same; validate=True makes it an error.", what, error
            )

    def _made(
        self, root: type[TRoot], data: dict[str, Any] | BaseModel | None, *, validate: bool | None
    ) -> TRoot:
        from chatkit.widgets.rendering import render

        values = _by_name(data)
        self._check(values, strict=self.validate if validate is None else validate)
        text = render(self.template, values, self.name)
        try:
            return root.model_validate(json.loads(text))
        except json.JSONDecodeError as error:
            raise _NotJSONError(
                f"The widget template {self.name!r} renders to what is not JSON, at "
                f"{text[max(0, error.pos - _SHOWN // 2) :][:_SHOWN]!r}: {error.msg}. Values go into it by "
                "'{{ value | tojson }}'",
                text,
                error.pos,
            ) from error
        except ValidationError as error:
            raise WidgetTemplateError(
                f"The widget template {self.name!r} does not render to a widget: {error}"
            ) from error

    @cached_property
    def _checker(self) -> DataChecker:
        from chatkit.widgets.template_data import DataChecker

        return DataChecker(self.data_schema, self.name)


def _checked(definition: object) -> Mapping[str, Any]:
    if not isinstance(definition, Mapping):
        raise WidgetTemplateError(f"A widget template is a JSON object, not a {type(definition).__name__}.")
    fields = cast("Mapping[str, Any]", definition)
    for name in ("version", "name", "template"):
        if name not in fields:
            raise _MissingKeyError(
                f"A widget template has the keys version, name and template: {name!r} is missing."
            )
    if fields["version"] != _VERSION:
        raise WidgetTemplateError(
            f"The widget template {fields['name']!r} is of version {fields['version']!r}; this package reads "
            f"{_VERSION!r}."
        )
    return fields


def _by_name(data: object) -> dict[str, Any]:
    if data is None:
        return {}
    if isinstance(data, BaseModel):
        return data.model_dump()
    if isinstance(data, Mapping):
        return dict(cast("Mapping[str, Any]", data))
    raise _UnusableValueError(
        f"A widget template takes its data as a dictionary or a pydantic model, not as a {type(data).__name__}."
    )
