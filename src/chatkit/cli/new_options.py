"""The options of ``chatkit new``."""

from __future__ import annotations

import argparse
from typing import Final, get_args

from chatkit.cli.project_kinds import Auth, Template

__all__ = ["DESCRIPTION", "add_options"]

DESCRIPTION: Final = """\
Make a project that runs, in a folder NAME of the working folder: an agent, the server, tests that need no model, and
the files for an image. A folder that is there already is left alone.

  --auth trial   nobody signs in; for this machine alone
  --auth own     your application's session says who is asking: one marked place to fill in
  --auth oidc    users have a token of an OpenID Connect provider
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all options, and what runs with them."""
    parser.set_defaults(run=_new)
    parser.add_argument("name", metavar="NAME", help="of the project and its package, such as shop")
    parser.add_argument(
        "--template",
        choices=get_args(Template),
        default="agents",
        help="the agent's framework: the OpenAI Agents SDK, which is the default, Pydantic AI, or LangGraph",
    )
    parser.add_argument(
        "--auth", choices=get_args(Auth), default="trial", help="who may use the chat; default trial"
    )


def _new(arguments: argparse.Namespace) -> int:
    from chatkit.cli.new import new

    return new(arguments.name, arguments.template, arguments.auth)
