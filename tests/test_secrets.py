"""The application's secrets, and those that they replaced."""

from __future__ import annotations

import pytest

from chatkit._secrets import accepted_secrets, configured_secrets, signing_secret


@pytest.mark.parametrize(
    ("current", "old", "found"),
    [
        (None, None, (None,)),
        ("", "", (None,)),
        ("a", None, (b"a",)),
        ("a b", "", (b"a b",)),
        ("a", "b", (b"a", b"b")),
        ("a", "b, c ,,d e", (b"a", b"b", b"c", b"d e", b"b, c ,,d e")),
        ("a", " b", (b"a", b"b", b" b")),
        (None, "b", (None, b"b")),
    ],
)
def test_from_the_environment(
    current: str | None, old: str | None, found: tuple[bytes | None, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CHATKIT_SECRET", current), ("CHATKIT_OLD_SECRETS", old)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert configured_secrets() == found
    accepted = accepted_secrets()
    assert accepted[0] == signing_secret()
    assert accepted[1:] == found[1:]
    assert len(accepted[0]) == 32 if found[0] is None else accepted[0] == found[0]
