"""``chatkit new``: a project that runs, with tests and an image."""

from __future__ import annotations

import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chatkit import __version__
from chatkit.cli.options import CommandError
from chatkit.cli.project_kinds import Auth, Template
from chatkit.cli.requirements import installed_from

__all__ = ["new", "write_project"]

_TEMPLATES: Final = Path(__file__).parent / "templates"
_SUFFIX: Final = ".jinja"
_PACKAGE: Final = "package"
_DOTTED: Final = {"dockerignore": ".dockerignore", "gitignore": ".gitignore"}
"""Files that tools would heed where they lie."""
_FRAMEWORKS: Final[dict[Template, str]] = {
    "agents": "the OpenAI Agents SDK",
    "pydantic-ai": "Pydantic AI",
    "langgraph": "LangGraph",
}
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_TAKEN: Final = {"tests", "wheels"}


def new(name: str, template: Template, auth: Auth) -> int:
    """Makes a project in the working folder, says how to go on, and returns the exit code."""
    _check_name(name)
    folder = Path.cwd() / name
    write_project(folder, template, auth)
    print(f"{folder} has a chat with an agent of {_FRAMEWORKS[template]}. {name}/README.md says more:")
    print(f"  cd {name}")
    source = installed_from()
    if source is not None:
        # In another environment than this one, pip would look for it in the package index.
        extras = ",".join(_extras(template, auth))
        print(f"  pip install {quote(f'{source}[{extras}]')}")
    print("  pip install -e '.[dev]'")
    print("  pytest")
    print(f"  chatkit serve --dev {name}.server:{_class_name(name)}")
    if auth == "own":
        print(f"Then fill in the marked place in {name}/{name}/auth.py: who is signed in.")
    return 0


def write_project(folder: Path, template: Template, auth: Auth) -> None:
    """Writes the files of a project.

    Args:
        folder: Is made; its name is that of the package.
        template: The framework of the agent.
        auth: Who may use the chat.

    Raises:
        CommandError: The folder is there already, or cannot be written.
    """
    name = folder.name
    values = {
        "name": name,
        "title": name.replace("_", " ").strip().capitalize(),
        "server": _class_name(name),
        "template": template,
        "framework": _FRAMEWORKS[template],
        "auth": auth,
        "extras": _extras(template, auth),
        "version": __version__,
    }
    files = _rendered(values, ("common", template, auth))
    try:
        folder.mkdir()
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, "utf-8")
    except FileExistsError:
        raise CommandError(f"{folder} is there already, and stays as it is. Choose another name.") from None
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror or error}.") from error


def _extras(template: Template, auth: Auth) -> list[str]:
    return [template, "serve", *(["auth"] if auth == "oidc" else [])]


def _rendered(values: dict[str, Any], parts: tuple[str, ...]) -> dict[Path, str]:
    """Returns the text of each file, by its path in the project."""
    # What is made is text and code, not HTML.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found: dict[Path, str] = {}
    for part in parts:
        for source in sorted((_TEMPLATES / part).rglob(f"*{_SUFFIX}")):
            path = source.relative_to(_TEMPLATES / part)
            folders = [values["name"] if each == _PACKAGE else each for each in path.parent.parts]
            file = path.name.removesuffix(_SUFFIX)
            text = environment.get_template(source.relative_to(_TEMPLATES).as_posix()).render(values)
            found[Path(*folders, _DOTTED.get(file, file))] = text
    return found


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_")) + "Server"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_0123456789")
        advice = f" Write {near}." if _NAME.fullmatch(near) and not keyword.iskeyword(near) else ""
        raise CommandError(
            f"{name!r} is no name of a Python package: small letters, digits and '_', a letter first.{advice}"
        )
    if (Path.cwd() / name).exists():
        raise CommandError(f"{Path.cwd() / name} is there already, and stays as it is. Choose another name.")
    if name in _TAKEN or find_spec(name) is not None:
        raise CommandError(
            f"{name!r} is the name of something else that is imported or made here, and would hide it. Choose another."
        )
