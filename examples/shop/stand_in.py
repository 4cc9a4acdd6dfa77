"""Stands in for a model, so that the shop runs without a key: rules that answer as a model would."""

import re

from chatkit.testing import ModelRequest, ModelToolCall


def answer(request: ModelRequest) -> ModelToolCall | str:
    """Returns the answer to what the agent asks."""
    if not request.tools:
        # Asked without the agent's tools, it is to make a title.
        return "Help with an order"
    last = request.input[-1]
    if last.get("type") == "function_call_output":
        return last["output"]
    said = str(last["content"])
    number = re.search(r"\b\d{4}\b", said)
    if number is None:
        return "Which order is it about? Its number has four digits, such as 1042."
    known = {tool.name for tool in request.tools}
    wanted = next(
        (name for word, name in (("show", "show_order"), ("return", "offer_return")) if word in said.lower()),
        "find_order",
    )
    return ModelToolCall(wanted if wanted in known else "find_order", {"number": number[0]})
