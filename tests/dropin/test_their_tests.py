"""What openai-chatkit 1.6.5 tests of itself holds here, but for what is explained.

Its source distribution has tests. They are fetched, run outside the checkout against an installed wheel, and thrown
away. Two modules that they import and the templates of ``WidgetTemplate.from_file`` are not distributed: a store and a
context of our own stand in for the modules; tests that need the templates fail in every package.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.dropin.environments import OURS, THEIRS, Environment, pip, reach
from tests.dropin.reasons import Decision, Reason
from tests.support.reference_package import REFERENCE_VERSION

pytestmark = pytest.mark.timeout(1200)
HERE = Path(__file__).with_name("their_tests")
REFERENCE = f"{THEIRS}=={REFERENCE_VERSION}"
CONFIGURATION = (
    "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\npythonpath = .\n"
)

ELSEWHERE = "where-answers-differ-from-openai-chatkit"
OWN_WORDS = Decision(ELSEWHERE, "texts that a model reads are in words of our own")

EXPLAINED: dict[str, Reason] = {
    **{
        f"test_agents.py::test_input_item_converter_{name}": OWN_WORDS
        for name in (
            "for_hidden_context_with_string_content",
            "generated_image_item",
            "quotes_last_user_message",
            "to_input_items_mixed",
            "user_input_with_tags",
            "with_client_tool_call",
            "with_structured_input",
        )
    },
    **{
        f"test_chatkit_server.py::test_stream_cancellation_{name}": OWN_WORDS
        for name in (
            "does_not_persist_pending_empty_assistant_message",
            "persists_pending_assistant_message_and_hidden_context",
        )
    },
    "test_chatkit_server.py::test_add_structured_input_truncates_extra_single_choice_values": Decision(
        ELSEWHERE, "an item that is stored already is saved in its place"
    ),
}
WITHOUT_TEMPLATES = {
    *(
        f"test_widgets.py::test_widget_template_from_file[{name}]"
        for name in ("card_no_data-None", "card_with_data-data3", "list_view_no_data-None")
    ),
    "test_widgets.py::test_widget_template_from_file[list_view_with_data-data2]",
    "test_widgets.py::test_widget_template_build_with_basic_root",
    "test_widgets.py::test_widget_template_build_basic_is_deprecated",
}

PASSING = 124
"""In the package that they are of."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, fetched once."""
    folder = tmp_path_factory.mktemp("archive")
    reach(pip("download", "--no-deps", "--no-binary", ":all:", "--dest", folder, REFERENCE))
    (found,) = folder.glob("*.tar.gz")
    return found


def lay_out(archive: Path, folder: Path) -> None:
    """Puts the tests, and what they import, into a folder."""
    folder.mkdir()
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    # Alone: beside them is the package itself.
    shutil.move(unpacked / "tests", folder / "tests")
    shutil.rmtree(folder / "unpacked")
    (folder / "helpers").mkdir()
    for path in ("helpers/__init__.py", "tests/__init__.py"):
        (folder / path).touch()
    shutil.copy(HERE / "mock_store.py", folder / "helpers/mock_store.py")
    shutil.copy(HERE / "context.py", folder / "tests/_types.py")
    (folder / "pytest.ini").write_text(CONFIGURATION)


def failures(environment: Environment, folder: Path) -> tuple[set[str], int]:
    """Returns the tests that fail, and how many pass."""
    done = environment.run(
        *("-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider", "tests"), cwd=folder, check=False
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    found = re.findall(r"^(?:FAILED|ERROR) tests/(\S+)", done.stdout, re.MULTILINE)
    return set(found), int(passed[1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment for one of the packages after the other."""
    return Environment.with_shared_packages(tmp_path_factory.mktemp("their-tests") / "environment")


@pytest.mark.skipif(
    "CHATKIT_TEST_REFERENCE_VERSION" not in os.environ,
    reason="what 1.6.5 says of itself does not change; scripts/test --newest asks the newest",
)
def test_they_hold_in_the_package_that_they_are_of(
    archive: Path, environment: Environment, tmp_path: Path
) -> None:
    environment.uninstall(OURS)
    environment.put(REFERENCE)
    lay_out(archive, tmp_path / "their")
    assert failures(environment, tmp_path / "their") == (WITHOUT_TEMPLATES, PASSING)


def test_they_hold_here_but_for_what_is_explained(
    archive: Path, wheel: Path, environment: Environment, tmp_path: Path
) -> None:
    environment.uninstall(THEIRS)
    environment.put(wheel)
    lay_out(archive, tmp_path / "their")
    failed, passed = failures(environment, tmp_path / "their")
    assert {name: EXPLAINED.get(name) for name in failed - WITHOUT_TEMPLATES} == EXPLAINED
    assert passed == PASSING - len(EXPLAINED)


def test_every_reason_is_written_down() -> None:
    assert all(str(reason) for reason in EXPLAINED.values())
