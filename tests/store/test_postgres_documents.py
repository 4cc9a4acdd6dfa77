"""What JSONB does not keep is kept beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from chatkit.store import PostgresStore
from chatkit.store._postgres_documents import document_columns
from chatkit.store._records import dump_model, load_item
from chatkit.testing._store_samples import item_of_every_kind, message
from chatkit.types import HiddenContextItem, ThreadMetadata
from tests.support.postgres import on_server
from tests.support.scale import examples

CONTEXT = {"user_id": "alice"}

texts = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["\0", "\\u0000", "\\\0", "\\\\u0000", "\\\\\0", '"', "\ufffd", "é", "𐍈"]
)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


class Document(BaseModel):
    second: Any = None
    first: Any = None


def load(text: str) -> Document:
    return Document.model_validate_json(text)


def through_jsonb(url: str, documents: list[str]) -> list[str]:
    async def cast(connection: Any) -> list[str]:
        return [row[0] for row in await connection.fetch("SELECT unnest($1::jsonb[])::text", documents)]

    return on_server(url, cast)


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(values, min_size=1, max_size=30))
def test_any_document_comes_back_as_it_was(postgres_url: str, drawn: list[Any]) -> None:
    given_texts = [Document(second=value, first=[value]).model_dump_json() for value in drawn]
    columns = [document_columns(text, load) for text in given_texts]
    stored = through_jsonb(postgres_url, [data for data, _ in columns])
    for text, (_, exact), data in zip(given_texts, columns, stored, strict=True):
        assert load(exact or data).model_dump_json() == text


@pytest.mark.parametrize(
    "value",
    [{"b": 1, "a": 2}, {"aa": 1, "b": 2}, "\0", {"\0": 1}, 1e20, 1e-7, -0.0, {"é": 1, "aaa": 2, "z": 3}],
    ids=repr,
)
def test_what_jsonb_would_change_is_kept_exactly(value: Any) -> None:
    text = Document(first=value).model_dump_json()
    data, exact = document_columns(text, load)
    assert exact == text
    assert "\\u0000" not in data


@pytest.mark.parametrize(
    "value", [{"a": 1, "b": 2}, {"b": 1, "aa": 2}, "\\u0000", 0.1, 1.0, 2**70, {"z": 3, "é": 1}]
)
def test_what_jsonb_keeps_is_stored_once(value: Any) -> None:
    text = Document(first=value).model_dump_json()
    assert document_columns(text, load) == (text, None)


def test_items_of_a_usual_conversation_are_stored_once() -> None:
    kinds = {
        item.type
        for item in item_of_every_kind("thr")
        if document_columns(dump_model(item), load_item)[1] is None
    }
    assert {
        "assistant_message",
        "generated_image",
        "workflow",
        "task",
        "end_of_turn",
    } <= kinds
    assert document_columns(dump_model(message("a")), load_item)[1] is None


async def test_items_can_be_searched_as_jsonb(postgres_database: str) -> None:
    store = PostgresStore(postgres_database)
    await store.save_thread(ThreadMetadata(id="thr", metadata={"b": 1, "a": "x\0y"}), CONTEXT)
    await store.add_thread_item("thr", message("a", "find me"), CONTEXT)
    note = HiddenContextItem(id="n", content={"zz": 1, "a": 1e20, "text": "\\u0000 \0"})
    await store.add_thread_item("thr", note, CONTEXT)
    found = await store.database.read(
        lambda transaction: transaction.rows(
            "SELECT id, data #>> '{content,0,text}' FROM chatkit.items"
            """ WHERE data @@ '$.content[*].text == "find me"'"""
        )
    )
    assert found == [("a", "find me")]
    metadata = "SELECT data -> 'metadata' ->> 'a' FROM chatkit.threads"
    assert await store.database.read(lambda transaction: transaction.value(metadata)) == "x\ufffdy"
    loaded = await store.load_thread("thr", CONTEXT)
    assert json.dumps(loaded.metadata) == json.dumps({"b": 1, "a": "x\0y"})
    item = await store.load_item("thr", "n", CONTEXT)
    assert item.model_dump_json() == note.model_dump_json()
    await store.close()
