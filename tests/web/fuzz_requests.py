"""Requests with something exchanged, drawn from a seed: nearly valid ones of all types, and damaged bytes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.web.bad_requests import ACTION, ask, on_thread, say

OWN: Final = ["thr_thread", "thr_call", "itm_question", "itm_answer", "itm_widget", "itm_form", "atc_file"]
OTHERS: Final = ["thr_bob_thread", "itm_bob_question", "itm_bob_widget", "itm_bob_form", "atc_bob_file"]
TAG: Final = {"type": "input_tag", "id": "t", "text": "Tag", "data": {"a": [1, "x"]}, "group": "g"}
MEBIBYTE: Final = 1024 * 1024


@dataclass
class Mutated:
    """A request to send.

    Attributes:
        kind: The type of the valid request that it was made from.
        body: Its bytes.
        headers: Its headers.
        changes: What was done to it, for messages.
    """

    kind: str
    body: bytes
    headers: dict[str, str]
    changes: list[str] = field(default_factory=list)


def valid() -> list[dict[str, Any]]:
    """Returns requests of every type; those of other owners' things are refused, the others are served."""
    texts = [*say("Hello, world!")["content"], TAG]
    return [
        *on_thread("thr_thread", question="itm_question", form="itm_form", widget="itm_widget").values(),
        *on_thread("thr_bob_thread").values(),
        ask("threads.create", input=say(content=texts, quoted_text="quoted", attachments=["atc_file"])),
        ask("threads.create", input=say(inference_options={"tool_choice": {"id": "t"}, "model": "m"})),
        {**ask("threads.create", input=say()), "metadata": {"resumable": True, "idempotency_key": "k"}},
        ask("threads.add_user_message", thread_id="thr_thread", input=say(content=texts)),
        ask("threads.add_client_tool_output", thread_id="thr_call", result={"place": [52.4, 4.9]}),
        ask(
            "threads.add_structured_input",
            thread_id="thr_thread",
            item_id="itm_form",
            input={"status": "answered", "answers": {"q": {"values": ["Because."], "skipped": False}}},
        ),
        ask("threads.list", limit=3, order="asc", after="thr_thread"),
        ask("threads.list", limit=9999),
        ask("threads.search", query='why "the widget" quest*', limit=3, after="1.5 3 thr_thread"),
        ask("items.list", thread_id="thr_thread", limit=3, order="desc", after="itm_answer"),
        ask("items.feedback", thread_id="thr_thread", item_ids=["itm_answer"] * 3, kind="positive"),
        ask("input.transcribe", audio_base64="AAAA" * 100, mime_type="audio/ogg;codecs=opus"),
        ask("attachments.create", name="a.txt", size=10, mime_type="text/plain"),
        ask("attachments.delete", attachment_id="atc_file"),
        ask("threads.sync_custom_action", thread_id="thr_thread", item_id="itm_widget", action=ACTION),
        ask("threads.retry_after_item", thread_id="thr_thread", item_id="itm_question"),
        ask("turns.resume", thread_id="thr_thread", after="turn_x:1"),
    ]


VALID: Final = valid()


SMALL: Final[list[Any]] = [
    None, True, False, 0, -1, 1, 2.5, -0.0, 1e308, 2**31, 2**53, 2**63, 2**64, 10**30, "", " ", "x", "\0",
    "a\0b", "\ud800", "a\udc00b", "\u202e", "\x1b[2J", "null", "asc", "{}", "'; DROP TABLE threads; --", "../../x",
    "é" * 100, "\U0001f600" * 50, [], {}, [[]], [None], {"type": None}, {"": ""}, {"type": "input_text"},
    {"$ne": None}, {"__proto__": {}}, *OWN, *OTHERS,
]  # fmt: skip
RAW: Final = [
    "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 4000, "9" * 5000, "1" + "0" * 4299, "0." + "1" * 5000,
    "01", "+1", ".5", "0x10", "tru", '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x41"', '"\t"', "'x'", "1,",
    "[1,]", "/**/1",
]  # fmt: skip
HEADERS: Final = [
    ("content-encoding", "gzip"),
    ("expect", "x"),
    ("cookie", "a" * 5000),
    ("accept", "\xff"),
    ("content-language", "x" * 20_000),
]


def _long_text(draw: Random) -> str:
    unit = draw.choice(
        ["x", ",", '"', "\\", "[", "é", "\U0001f600", "\0", "\n", "a,b;c\n", "<b>", "\ufffd", "\ud800"]
    )
    return unit * (draw.choice([255, 256, 1000, 1001, 4097, 70_000, 300_000, 600_000]) // len(unit) + 1)


def _many(draw: Random) -> str:
    entry = draw.choice([1, "", "itm_answer", None, {}, [], {"type": "input_text", "text": "x"}, TAG])
    count = draw.choice([2, 999, 1001, 20_000, 60_000, 300_000])
    if draw.random() < 0.3:
        return json.dumps({f"k{number}": entry for number in range(min(count, 60_000))})
    return json.dumps([entry] * min(count, 2_000_000 // (len(json.dumps(entry)) + 1)))


def _nested(draw: Random) -> str:
    depth = draw.choice([50, 100, 101, 150, 190, 199, 200, 201, 250, 1000, 100_000])
    opening, closing = draw.choice([("[", "]"), ('{"a":', "}"), ('[{"type":', "}]"), ("[[],", "]")])
    return opening * depth + "1" + closing * (depth if draw.random() < 0.8 else depth // 2)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = (
        value.items() if isinstance(value, dict) else enumerate(value[:20]) if isinstance(value, list) else ()
    )
    for key, child in inside:
        yield from _places(child, (*path, key))


class Fuzzer:
    """Makes requests: the same seed makes the same ones."""

    def __init__(self, seed: int, *, large: float = 0.05) -> None:
        self._draw = Random(seed)
        self._large = large
        self._raw: dict[str, str] = {}

    def next(self) -> Mutated:
        """Returns the next request."""
        draw = self._draw
        request = copy.deepcopy(draw.choice(VALID))
        if request["type"] == "threads.delete" and draw.random() < 0.7:
            # Nothing more would be found in the thread.
            request["params"]["thread_id"] = "thr_locked_thread"
        mutated = Mutated(request["type"], b"", {"content-type": "application/json"})
        self._raw = {}
        for _ in range(draw.choice([0, 0, 1, 1, 1, 2, 3])):
            request = self._change(request, mutated.changes)
            if not isinstance(request, dict):
                break
        if draw.random() < 0.1 and isinstance(request, dict):
            request["metadata"] = {
                "resumable": draw.random() < 0.5,
                "idempotency_key": f"k{draw.randrange(20)}",
            }
        text = json.dumps(
            request, ensure_ascii=draw.random() < 0.5, indent=draw.choice([None, None, None, 1])
        )
        for mark, raw in self._raw.items():
            text = text.replace(f'"{mark}"', raw)
        mutated.body = text.encode("utf-8", draw.choice(["replace", "surrogatepass"]))
        self._damage(mutated)
        return mutated

    def _raw_value(self, text: str) -> str:
        mark = f"@@{len(self._raw)}@@"
        self._raw[mark] = text
        return mark

    def _value(self, changes: list[str]) -> Any:
        draw = self._draw
        chance = draw.random()
        if chance < self._large:
            changes.append("long")
            return _long_text(draw) if draw.random() < 0.5 else self._raw_value(_many(draw))
        if chance < self._large + 0.08:
            changes.append("nested")
            return self._raw_value(_nested(draw))
        if chance < self._large + 0.18:
            raw = draw.choice(RAW)
            changes.append(f"raw {raw[:12]}")
            return self._raw_value(raw)
        if chance < self._large + 0.25:
            changes.append("256 characters")
            return draw.choice(["x", "é", "\0"]) * draw.choice([255, 256, 1001])
        value = draw.choice(SMALL)
        changes.append(f"value {value!r:.20}")
        return copy.deepcopy(value)

    def _change(self, request: dict[str, Any], changes: list[str]) -> Any:
        draw = self._draw
        path = draw.choice(list(_places(request)))
        if not path:
            if draw.random() < 0.8:
                request[draw.choice(["metadata", "params", "type", "more", "k" * 10_000])] = self._value(
                    changes
                )
                return request
            return self._value(changes)
        parent = request
        for key in path[:-1]:
            parent = parent[key]
        key = path[-1]
        chance = draw.random()
        if chance < 0.15:
            changes.append(f"without {key}")
            del parent[key]
        elif chance < 0.25 and isinstance(parent, dict):
            changes.append(f"{key} renamed")
            parent[draw.choice([str(key).upper(), "", "\0", "type", "id", "é", "k" * 5000])] = parent.pop(key)
        elif chance < 0.32:
            changes.append(f"{key} wrapped")
            parent[key] = draw.choice([lambda v: [v], lambda v: {"type": v}, lambda v: {str(key): v}])(
                parent[key]
            )
        elif chance < 0.4 and isinstance(parent, dict):
            changes.append(f"{key} twice")
            raw = f"{json.dumps(parent[key])},{json.dumps(str(key))}:{json.dumps(self._value(changes))}"
            parent[key] = self._raw_value(raw)
        else:
            changes.append(f"{key} exchanged")
            parent[key] = self._value(changes)
        return request

    def _damage(self, mutated: Mutated) -> None:
        draw, body = self._draw, mutated.body
        chance = draw.random()
        if chance < 0.03:
            mutated.body = body[: draw.randrange(len(body) + 1)]
            mutated.changes.append("cut off")
        elif chance < 0.06 and body:
            at = draw.randrange(len(body))
            mutated.body = body[:at] + draw.randbytes(draw.randrange(5)) + body[at + draw.randrange(5) :]
            mutated.changes.append("damaged")
        elif chance < 0.07:
            mutated.body = body + draw.choice([b"x", b"{}", b"\0", b" " * 100_000, body])
            mutated.changes.append("more behind it")
        elif chance < 0.08:
            mutated.body = body.decode("utf-8", "replace").encode(
                draw.choice(["utf-16", "utf-32", "utf-7", "utf-8-sig"])
            )
            mutated.changes.append("encoded otherwise")
        elif chance < 0.085:
            head = b'{"type":"input.transcribe","params":{"mime_type":"audio/ogg","audio_base64":"'
            mutated.body = (
                head
                + draw.choice([b"A", b"AAA=", b"\\", b'\\"', b",", b"1,"]) * (draw.choice([1, 3]) * MEBIBYTE)
                + b'"}}'
            )
            mutated.changes.append("a recording")
        if draw.random() < 0.02:
            kind = draw.choice(["text/plain", "", "application/x-www-form-urlencoded", "é", "json"])
            mutated.headers["content-type"] = kind
            mutated.changes.append(f"content type {kind!r}")
        if draw.random() < 0.01:
            name, value = draw.choice(HEADERS)
            mutated.headers[name] = value
            mutated.changes.append(f"header {name}")
