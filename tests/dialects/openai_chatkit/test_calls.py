"""Methods of applications are called as openai-chatkit calls them, or else as they can be called."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatkit.dialects.openai_chatkit.calls import accepts, call, call_form, call_maybe_async

FORM = call_form("thread_id after limit context", 1)
ARGUMENTS = ("thr_1", None, 20, {"user_id": "ada"})


class Taking:
    def names(self, thread_id: Any, after: Any, limit: Any, context: Any) -> Any:
        return thread_id, after, limit, context

    def other_order(self, context: Any, limit: Any, thread_id: Any, after: Any = "none") -> Any:
        return thread_id, after, limit, context

    def keywords(self, *, limit: Any, after: Any, thread_id: Any, context: Any) -> Any:
        return thread_id, after, limit, context

    def own_names(self, a: Any, b: Any, c: Any, d: Any) -> Any:
        return a, b, c, d

    def own_name_first(self, a: Any, after: Any, limit: Any, context: Any, more: int = 1) -> Any:
        return a, after, limit, context

    def positional(self, thread_id: Any, after: Any, limit: Any, context: Any, /) -> Any:
        return thread_id, after, limit, context

    def rest(self, thread_id: Any, **named: Any) -> Any:
        return thread_id, named["after"], named["limit"], named["context"]

    def anything(self, *given: Any, **named: Any) -> Any:
        assert len(given) == 1
        return given[0], named["after"], named["limit"], named["context"]

    def only_given(self, *given: Any) -> Any:
        return given

    @staticmethod
    def static(thread_id: Any, *, context: Any, after: Any, limit: Any) -> Any:
        return thread_id, after, limit, context

    @classmethod
    def of_class(cls, thread_id: Any, context: Any, after: Any, limit: Any) -> Any:
        return thread_id, after, limit, context

    async def coroutine(self, thread_id: Any, context: Any, *, limit: Any, after: Any) -> Any:
        return thread_id, after, limit, context


@pytest.mark.parametrize("name", [name for name in vars(Taking) if not name.startswith("_")])
async def test_every_parameter_gets_its_own(name: str) -> None:
    taking = Taking()
    for _ in range(2):
        assert await call_maybe_async(getattr(taking, name), FORM, ARGUMENTS) == ARGUMENTS


@given(st.permutations(FORM.names), st.integers(0, 4))
def test_any_order_of_the_names(names: list[str], keywords_from: int) -> None:
    parameters = [*names[:keywords_from], *(["*"] if keywords_from < 4 else []), *names[keywords_from:]]
    space: dict[str, Any] = {}
    exec(f"def method({', '.join(parameters)}): return thread_id, after, limit, context", space)
    assert call(space["method"], FORM, ARGUMENTS) == ARGUMENTS


def test_a_stand_in_sees_the_call_of_1_6_5() -> None:
    method = Mock()
    call(method, FORM, ARGUMENTS)
    method.assert_called_once_with("thr_1", after=None, limit=20, context={"user_id": "ada"})


def test_what_takes_fewer_arguments_raises_what_python_says() -> None:
    def few(thread_id: Any) -> None: ...

    assert not accepts(few, FORM)
    with pytest.raises(TypeError, match="few"):
        call(few, FORM, ARGUMENTS)
