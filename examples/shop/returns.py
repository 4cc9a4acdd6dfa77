"""Sending an order back: a form, and what may come of it."""

from typing import Literal

from orders import Order
from pydantic import BaseModel, Field

from chatkit.widgets import DynamicWidgetComponent as Part
from chatkit.widgets import DynamicWidgetRoot


class ReturnRequest(BaseModel):
    """What the form sends: the number that is its own, and what the user entered."""

    number: str
    reason: Literal["broken", "wrong", "unwanted"]
    note: str = Field(default="", max_length=500)


def return_form(order: Order) -> DynamicWidgetRoot:
    """Returns the form; the names of its fields are those of :class:`ReturnRequest`."""
    reasons = [
        {"value": "broken", "label": "It is broken"},
        {"value": "wrong", "label": "It is not what I ordered"},
        {"value": "unwanted", "label": "I do not want it"},
    ]
    form = Part(
        type="Form",
        onSubmitAction={"type": "order.return", "payload": {"number": order.number}},
        children=[
            Part(type="Title", value=f"Send back {order.product}", size="sm"),
            Part(type="RadioGroup", name="reason", options=reasons, ariaLabel="Reason", required=True),
            Part(type="Textarea", name="note", placeholder="Anything else?", rows=2),
            Part(type="Button", label="Send it back", submit=True, style="primary"),
        ],
    )
    return DynamicWidgetRoot(type="Card", children=[form])
