"""What the chat shows of an order: a card with a button."""

from orders import Order

from chatkit.widgets import DynamicWidgetComponent as Part
from chatkit.widgets import DynamicWidgetRoot


def order_card(order: Order) -> DynamicWidgetRoot:
    """Returns the card of an order; one that is on its way can be cancelled."""
    parts = [
        Part(type="Title", value=f"Order {order.number}", size="sm"),
        Part(type="Text", value=order.product.capitalize()),
        Part(type="Badge", label=order.state, color="info"),
    ]
    if order.state == "on its way":
        cancel = {"type": "order.cancel", "payload": {"number": order.number}}
        parts.append(Part(type="Button", label="Cancel the order", onClickAction=cancel))
    return DynamicWidgetRoot(type="Card", children=parts)
