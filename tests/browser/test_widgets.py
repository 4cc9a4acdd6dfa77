"""Widgets in the element, with a server that sends them and takes their actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, expect
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chatkit.types import WidgetComponentUpdated, WidgetStreamingTextValueDelta
from chatkit.web import create_app, single_user
from chatkit.widgets import DynamicWidgetComponent
from tests.browser.chat_page import ChatPage
from tests.browser.conftest import OpenPage
from tests.browser.host_page import host_routes
from tests.browser.widget_server import WidgetServer
from tests.support.live_server import live_server
from tests.support.scale import scaled

Widget = dict[str, Any]
Show = Callable[..., Locator]
Turn = tuple[WidgetServer, Show]

PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"><rect width="9" height="9"/></svg>'


def node(type_: str, /, *children: Widget, **fields: Any) -> Widget:
    return {"type": type_, **({"children": list(children)} if children else {}), **fields}


def text(value: str, **fields: Any) -> Widget:
    return node("Text", value=value, **fields)


def action(type_: str, /, payload: Any = None, **config: Any) -> Widget:
    return {"type": type_, "payload": payload, **config}


def button(label: str, on_click: Widget | None = None, **fields: Any) -> Widget:
    return node("Button", label=label, **({"onClickAction": on_click} if on_click else {}), **fields)


def options(*values: str) -> list[Widget]:
    return [{"value": value, "label": value.title()} for value in values]


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[WidgetServer, str]]:
    async def picture(request: Request) -> Response:
        return Response(PICTURE, media_type="image/svg+xml")

    server = WidgetServer()
    routes = [Route("/picture.svg", picture), *host_routes()]
    with live_server(create_app(server, context=single_user(), routes=routes)) as live:
        yield server, live.url


@pytest.fixture
def turn(open_page: OpenPage, running: tuple[WidgetServer, str]) -> Turn:
    """Returns the server, and a function that shows a widget and returns its view."""
    server, url = running
    server.forget()

    def show(widget: Widget, *, options: str = "{}", waits: bool = True, **context: Any) -> Locator:
        server.widgets["it"] = widget
        chat = open_page(f"{url}/page", **context)
        chat.page.evaluate(f"apply({options})")
        chat.send("it")
        if waits:
            chat.until_idle()
        view = chat.element.locator("ck-widget")
        expect(view).to_be_visible()
        return view

    return server, show


def busy(view: Locator) -> Locator:
    return view.locator("[aria-busy=true]")


def test_every_component_is_shown(turn: Turn) -> None:
    server, show = turn
    server.domains = ["example.com"]
    row = node("Table.Row", node("Table.Cell", text("Cell one")), node("Table.Cell", text("Cell two")))
    head = node(
        "Table.Row", node("Table.Cell", text("Head one")), node("Table.Cell", text("Head two")), header=True
    )
    data = [{"month": "May", "cups": 3, "pots": 1}, {"month": "June", "cups": 5, "pots": 2}]
    series = [
        {"type": kind, "dataKey": key} for kind, key in (("bar", "cups"), ("line", "pots"), ("area", "cups"))
    ]
    view = show(
        node(
            "Card",
            node("Title", value="A title"),
            text("A text"),
            node("Caption", value="A caption"),
            node("Markdown", value="Some **markdown**"),
            node("Badge", label="A badge", color="success"),
            node("Icon", name="globe"),
            node("Image", src="/picture.svg", alt="A picture", width=40, height=30),
            node("Image", src="https://elsewhere.invalid/x.png", alt="Not allowed"),
            node("Divider"),
            node("Box", text("In a box"), background="surface-secondary", padding=2, radius="md"),
            node("Row", text("In a row"), node("Spacer"), text("At its end")),
            node("Col", text("In a column")),
            node("Transition", text("In a transition")),
            node("Chart", data=data, xAxis="month", series=series, height=160),
            node("Table", head, row),
            node(
                "Form",
                node("Label", value="A label", fieldName="input"),
                node("Input", name="input", placeholder="An input"),
                node("Textarea", name="area", placeholder="An area"),
                node("Select", name="select", placeholder="A choice", options=options("one", "two")),
                node("DatePicker", name="day", placeholder="A day"),
                node("Checkbox", name="check", label="A check box"),
                node("RadioGroup", name="radio", ariaLabel="Radios", options=options("left", "right")),
                button("A button", submit=True),
                onSubmitAction=action("save"),
            ),
            status={"text": "A status", "icon": "info"},
            confirm={"label": "Confirm", "action": action("confirm")},
            cancel={"label": "Cancel", "action": action("cancel")},
        )
    )
    shown = [
        view.get_by_role("heading", name="A title"),
        *(view.get_by_text(value, exact=True) for value in ("A text", "A caption", "A badge", "A status")),
        view.locator("strong", has_text="markdown"),
        view.locator(".icon ck-icon svg"),
        view.get_by_role("img", name="A picture"),
        view.get_by_role("img", name="Not allowed"),
        view.locator("hr.divider"),
        *(view.get_by_text(f"In a {place}", exact=True) for place in ("box", "row", "column", "transition")),
        view.get_by_role("img", name="Chart: cups, pots, cups"),
        view.get_by_role("columnheader", name="Head one"),
        view.get_by_role("cell", name="Cell two"),
        view.get_by_role("textbox", name="A label"),
        view.get_by_role("textbox", name="An area"),
        view.get_by_role("button", name="A choice"),
        view.get_by_role("button", name="A day"),
        view.get_by_role("checkbox", name="A check box"),
        view.get_by_role("radiogroup", name="Radios"),
        *(view.get_by_role("button", name=name, exact=True) for name in ("A button", "Confirm", "Cancel")),
    ]
    for part in shown:
        expect(part).to_be_visible()
    # The spacer takes what room there is.
    end = view.get_by_text("At its end").bounding_box()
    card = view.locator(".card").bounding_box()
    assert end
    assert card
    assert card["x"] + card["width"] - end["x"] - end["width"] < 24
    # The picture is loaded; that of a domain that is not allowed is not even asked for.
    assert view.get_by_role("img", name="A picture").evaluate("i => i.naturalWidth") == 40
    assert view.get_by_role("img", name="Not allowed").evaluate("i => i.nodeName") == "DIV"
    refused = view.page.evaluate("seen.filter(([name, log]) => name === 'log').map(([, log]) => log)")
    assert refused[0] == {"name": "image.refused", "data": {"url": "https://elsewhere.invalid/x.png"}}
    assert view.locator("ck-chart path.line").count() == 2
    assert view.locator("ck-chart path.area").count() == 1


def test_roots_besides_the_card(turn: Turn) -> None:
    server, show = turn
    entries = [
        node("ListViewItem", text(f"Entry {n}"), onClickAction=action("open", {"n": n})) for n in range(8)
    ]
    view = show(node("ListView", *entries, limit=3, status={"text": "Eight entries"}))
    items = view.get_by_role("listitem")
    expect(items).to_have_count(3)
    more = view.get_by_role("button", name="Show 5 more")
    more.focus()
    view.page.keyboard.press("Enter")
    expect(items).to_have_count(8)
    expect(more).to_have_count(0)
    # What was asked for is what the reader goes on with, not the top of the page.
    expect(view.get_by_role("button", name="Entry 3")).to_be_focused()
    view.get_by_role("button", name="Entry 6").click()
    assert server.next_action() == ("open", {"n": 6})

    view = show(node("Basic", text("Plain"), button("Press", action("press")), direction="row"))
    expect(view.get_by_text("Plain")).to_be_visible()
    assert view.locator(".card").count() == 0


@pytest.mark.parametrize(("page_theme", "theme"), [("dark", "light"), ("light", "dark")])
def test_a_theme_of_its_own(turn: Turn, page_theme: str, theme: str) -> None:
    _, show = turn
    view = show(node("Card", text("Themed"), theme=theme), options=f"{{ theme: '{page_theme}' }}")
    card = view.locator(".card")
    assert card.evaluate("c => getComputedStyle(c).colorScheme") == theme
    # Colours are in OKLCH, which begins with the lightness.
    lightness = "(e, of) => Number(/^oklch\\(([\\d.]+)/.exec(getComputedStyle(e)[of])[1])"
    background = card.evaluate(lightness, "backgroundColor")
    foreground = view.get_by_text("Themed").evaluate(lightness, "color")
    low, high = (foreground, background) if theme == "light" else (background, foreground)
    assert low < 0.3
    assert high > 0.9


FORM = node(
    "Form",
    node(
        "Select",
        name="trip.class",
        placeholder="Class",
        clearable=True,
        options=[
            {"value": "eco", "label": "Economy"},
            {"value": "biz", "label": "Business"},
            {"value": "first", "label": "First", "disabled": True},
        ],
        onChangeAction=action("class"),
    ),
    node(
        "DatePicker",
        name="trip.day",
        placeholder="Day",
        defaultValue="2026-11-20",
        min="2026-11-10",
        max="2027-01-31",
        clearable=True,
        onChangeAction=action("day"),
    ),
    node(
        "RadioGroup",
        name="trip.seat",
        ariaLabel="Seat",
        options=options("window", "aisle"),
        onChangeAction=action("seat"),
    ),
    node("Checkbox", name="trip.insured", label="Insurance", onChangeAction=action("insured")),
    onSubmitAction=action("save", {"id": 7, "trip": {"kind": "long", "day": "none"}}),
)


def trip(**values: Any) -> dict[str, Any]:
    """The form's values as they arrive, with those that nobody has changed."""
    return {"trip": {"class": None, "day": "2026-11-20", "seat": None, "insured": False, **values}}


def test_controls_by_keyboard(turn: Turn) -> None:
    server, show = turn
    view = show(node("Card", FORM))
    press = view.page.keyboard.press

    select = view.get_by_role("button", name="Class")
    select.focus()
    press("ArrowDown")
    listbox = view.get_by_role("listbox")
    expect(listbox).to_be_focused()
    press("ArrowDown")
    press("Enter")
    assert server.next_action() == ("class", trip(**{"class": "biz"}))
    expect(view.get_by_role("button", name="Class, Business")).to_be_focused()
    press("Enter")
    press("e")
    press("Enter")
    assert server.next_action() == ("class", trip(**{"class": "eco"}))
    press("Enter")
    press("Escape")
    expect(listbox).to_have_count(0)
    press("Delete")
    assert server.next_action() == ("class", trip())

    day = view.get_by_role("button", name="Day")
    day.focus()
    press("Enter")
    expect(view.get_by_role("button", name="Friday, November 20, 2026")).to_be_focused()
    press("ArrowRight")
    press("ArrowDown")
    expect(view.get_by_role("button", name="Saturday, November 28, 2026")).to_be_focused()
    press("PageDown")
    press("Home")
    expect(view.get_by_role("button", name="Sunday, December 27, 2026")).to_be_focused()
    # Beyond the last day there is nothing to go to.
    press("Shift+PageDown")
    expect(view.get_by_role("button", name="Sunday, January 31, 2027")).to_be_focused()
    press("Enter")
    assert server.next_action() == ("day", trip(day="2027-01-31"))
    expect(view.get_by_role("button", name="Day, January 31, 2027")).to_be_focused()

    view.get_by_role("radio", name="Window").focus()
    press("ArrowDown")
    assert server.next_action() == ("seat", trip(day="2027-01-31", seat="aisle"))
    expect(view.get_by_role("radio", name="Aisle")).to_be_checked()
    press("Tab")
    press("Space")
    assert server.next_action() == ("insured", trip(day="2027-01-31", seat="aisle", insured=True))


def test_controls_by_mouse(turn: Turn) -> None:
    server, show = turn
    view = show(node("Card", FORM))
    # A month of which a part is before the first day that can be picked.
    view.page.clock.set_fixed_time("2026-11-30")
    view.get_by_role("button", name="Class").click()
    view.get_by_role("option", name="First").click(force=True)
    expect(view.get_by_role("listbox")).to_be_visible()
    view.get_by_role("option", name="Business").click()
    assert server.next_action() == ("class", trip(**{"class": "biz"}))
    expect(view.get_by_role("listbox")).to_have_count(0)
    view.get_by_role("button", name="Class, Business").click()
    # A click elsewhere closes what is open.
    view.page.mouse.click(5, 5)
    expect(view.get_by_role("listbox")).to_have_count(0)

    view.get_by_role("button", name="Day").click()
    view.get_by_role("button", name="Next month").click()
    expect(view.get_by_role("button", name="Previous month")).to_be_visible()
    view.get_by_role("button", name="Thursday, December 24, 2026").click()
    assert server.next_action() == ("day", trip(**{"class": "biz"}, day="2026-12-24"))
    view.locator("ck-date-picker").get_by_role("button", name="Clear").click()
    assert server.next_action() == ("day", trip(**{"class": "biz"}, day=None))
    view.get_by_role("button", name="Day").click()
    expect(view.get_by_role("button", name="Monday, November 9, 2026")).to_be_disabled()
    view.page.keyboard.press("Escape")

    view.get_by_text("Window").click()
    assert server.next_action()[0] == "seat"
    view.get_by_text("Insurance").click()
    assert server.next_action() == (
        "insured",
        trip(**{"class": "biz"}, day=None, seat="window", insured=True),
    )


def test_a_select_with_search(turn: Turn) -> None:
    server, show = turn
    towns = ["Bergen", "Berlin", "Lima", "Oslo"]
    view = show(
        node(
            "Card",
            node(
                "Select",
                name="town",
                placeholder="Town",
                searchable=True,
                options=options(*towns),
                onChangeAction=action("town"),
            ),
        )
    )
    view.get_by_role("button", name="Town").click()
    search = view.get_by_role("combobox", name="Search")
    expect(search).to_be_focused()
    search.press_sequentially("ber")
    expect(view.get_by_role("option")).to_have_text(["Bergen", "Berlin"])
    search.press("ArrowDown")
    search.press("Enter")
    # Outside of a form an action carries the value of its own control all the same.
    assert server.next_action() == ("town", {"town": "Berlin"})
    expect(view.get_by_role("button", name="Town, Berlin")).to_be_visible()
    view.get_by_role("button", name="Town, Berlin").click()
    search.fill("zzz")
    expect(view.get_by_role("status").filter(has_text="No matches")).to_be_visible()


def test_controls_outside_of_a_form_send_their_own_value(turn: Turn) -> None:
    server, show = turn
    view = show(
        node(
            "Card",
            node(
                "Checkbox",
                name="trip.insured",
                label="Insurance",
                onChangeAction=action("insured", {"id": 7}),
            ),
            node(
                "RadioGroup", name="seat", options=options("window", "aisle"), onChangeAction=action("seat")
            ),
            button("Go", action("go", {"id": 7})),
        )
    )
    view.get_by_role("checkbox", name="Insurance").check()
    assert server.next_action() == ("insured", {"id": 7, "trip": {"insured": True}})
    view.get_by_role("radio", name="Aisle").check()
    assert server.next_action() == ("seat", {"seat": "aisle"})
    view.get_by_role("button", name="Go").click()
    assert server.next_action() == ("go", {"id": 7})


def test_a_chart_is_read_by_mouse_and_keyboard(turn: Turn) -> None:
    _, show = turn
    data = [{"day": f"Day {n}", "tea": n * 10, "coffee": 40 - n} for n in range(1, 5)]
    series = [{"type": "bar", "dataKey": "tea", "label": "Tea"}, {"type": "line", "dataKey": "coffee"}]
    view = show(node("Card", node("Chart", data=data, xAxis="day", series=series, showYAxis=True)))
    plot = view.get_by_role("img", name="Chart: Tea, coffee")
    tip = view.locator("ck-chart .tip")
    box = plot.bounding_box()
    assert box
    view.page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 40)
    expect(tip).to_contain_text("Day 4")
    view.page.mouse.move(5, 5)
    expect(tip).to_have_count(0)
    plot.focus()
    view.page.keyboard.press("ArrowRight")
    view.page.keyboard.press("ArrowRight")
    expect(tip).to_contain_text("Day 2")
    expect(tip).to_contain_text("20")
    view.page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("Day 1")
    view.page.keyboard.press("Escape")
    expect(tip).to_have_count(0)
    # Those who do not see it have a table.
    expect(view.get_by_role("cell", name="39")).to_have_count(1)


def test_a_form_is_checked_and_sent(turn: Turn) -> None:
    server, show = turn
    view = show(
        node(
            "Card",
            node(
                "Form",
                node("Label", value="Title", fieldName="todo.title"),
                node("Input", name="todo.title", required=True),
                node("Label", value="Code", fieldName="todo.code"),
                node("Input", name="todo.code", pattern="[A-Z]{3}", defaultValue="abc"),
                node("Textarea", name="note", pattern="[a-z ]+", placeholder="Note"),
                text("Editable", editable={"name": "heading", "required": True}),
                button("Save", submit=True, style="primary"),
                button("Save as", action("save-as", {"from": "button"}), submit=True),
                button("Help", action("help", {"topic": "forms"})),
                onSubmitAction=action("save", {"todo": {"id": 3}}),
            ),
        )
    )
    title = view.get_by_role("textbox", name="Title")
    message = "field => field.validationMessage"
    view.get_by_role("button", name="Save", exact=True).click()
    expect(title).to_be_focused()
    assert title.evaluate(message) == "Please fill out this field."
    title.fill("Buy tea")
    code = view.get_by_role("textbox", name="Code")
    view.get_by_role("button", name="Save", exact=True).click()
    expect(code).to_be_focused()
    assert "format" in code.evaluate(message)
    code.fill("ABC")
    note = view.get_by_role("textbox", name="Note")
    note.fill("NOT SO LOUD")
    view.get_by_role("button", name="Save as").click()
    expect(note).to_be_focused()
    assert note.evaluate(message) == "Check this field."
    note.fill("quiet")
    heading = view.get_by_role("textbox", name="heading")
    heading.fill("")
    title.press("Enter")
    expect(heading).to_be_focused()
    assert server.received.empty()

    # Any other action carries the values too, checked or not.
    view.get_by_role("button", name="Help").click()
    values = {"todo": {"title": "Buy tea", "code": "ABC"}, "note": "quiet", "heading": ""}
    assert server.next_action() == ("help", {"topic": "forms", **values})
    heading.fill("Today")
    values["heading"] = "Today"
    title.press("Enter")
    assert server.next_action() == ("save", {**values, "todo": {"id": 3, "title": "Buy tea", "code": "ABC"}})
    view.get_by_role("button", name="Save as").click()
    assert server.next_action() == ("save-as", {"from": "button", **values})


def test_a_card_as_a_form(turn: Turn) -> None:
    server, show = turn
    view = show(
        node(
            "Card",
            text("Subject", editable={"name": "mail.subject", "required": True}),
            node("Checkbox", name="copy", label="Send me a copy", defaultChecked=True),
            asForm=True,
            confirm={"label": "Send", "action": action("hold", {"id": 1})},
            cancel={"label": "Discard", "action": action("discard")},
        )
    )
    subject = view.get_by_role("textbox", name="mail.subject")
    subject.fill("")
    send = view.get_by_role("button", name="Send")
    send.click()
    expect(subject).to_be_focused()
    subject.fill("Tea")
    send.click()
    values = {"mail": {"subject": "Tea"}, "copy": True}
    assert server.next_action() == ("hold", {"id": 1, **values})
    # A confirmation makes the whole widget wait, for there is nothing else to do with it.
    assert view.locator(".widget").evaluate("w => w.inert")
    expect(send).to_have_attribute("aria-busy", "true")
    server.release()
    expect(busy(view)).to_have_count(0)
    assert not view.locator(".widget").evaluate("w => w.inert")
    expect(send).to_be_focused()
    view.get_by_role("button", name="Discard").click()
    assert server.next_action() == ("discard", values)


LOADING = {
    # bound: what waits by itself
    "auto": "self",
    "self": "self",
    "container": "container",
    "none": "none",
}


@pytest.mark.parametrize("behaviour", LOADING)
def test_what_waits_while_an_action_runs(turn: Turn, behaviour: str) -> None:
    server, show = turn
    held = action("hold", loadingBehavior=behaviour)
    view = show(node("Card", button("Go", held), button("Other", action("other"))))
    go = view.get_by_role("button", name="Go", exact=True)
    go.click()
    assert server.next_action()[0] == "hold"
    waits = LOADING[behaviour]
    expect(busy(view.locator(".card"))).to_have_count(0 if waits == "none" else 1)
    assert view.locator(".widget").evaluate("w => w.inert") == (waits == "container")
    if waits == "self":
        go.click(force=True)
    if waits != "container":
        view.get_by_role("button", name="Other").click()
        assert server.next_action()[0] == "other"
    server.release()
    expect(busy(view)).to_have_count(0)
    assert not view.locator(".widget").evaluate("w => w.inert")
    assert server.received.empty()


@pytest.mark.parametrize("bound", ["Select", "Checkbox", "ListViewItem", "Form"])
def test_what_waits_by_itself(turn: Turn, bound: str) -> None:
    server, show = turn
    held = action("hold")
    widgets = {
        "Select": node("Select", name="a", placeholder="A", options=options("one"), onChangeAction=held),
        "Checkbox": node("Checkbox", name="a", label="A", onChangeAction=held),
        "ListViewItem": node("ListViewItem", text("A"), onClickAction=held),
        "Form": node("Form", button("A", submit=True), onSubmitAction=held),
    }
    view = show(node("ListView" if bound == "ListViewItem" else "Card", widgets[bound]))
    if bound == "Checkbox":
        view.get_by_role("checkbox").check()
    else:
        view.get_by_role("button", name="A").click()
    if bound == "Select":
        view.get_by_role("option").click()
    assert server.next_action()[0] == "hold"
    expect(busy(view)).to_have_count({"Select": 0, "Checkbox": 0, "ListViewItem": 1, "Form": 1}[bound])
    server.release()
    expect(busy(view)).to_have_count(0)


@pytest.mark.parametrize("behaviour", ["self", "container"])
def test_an_action_that_fails_stops_waiting(turn: Turn, behaviour: str) -> None:
    server, show = turn
    failing = action("fail", loadingBehavior=behaviour)
    view = show(node("Card", button("Go", failing), button("Reset", action("fine"))))
    view.get_by_role("button", name="Go").click()
    assert server.next_action()[0] == "fail"
    expect(view.get_by_role("button", name="Go")).to_have_attribute("aria-busy", "true")
    server.release()
    expect(view.get_by_text("That did not work")).to_be_visible()
    expect(busy(view)).to_have_count(0)
    assert not view.locator(".widget").evaluate("w => w.inert")
    view.get_by_role("button", name="Reset").click()
    assert server.next_action()[0] == "fine"
    expect(view.get_by_text("That did not work")).to_have_count(0)


def test_actions_that_are_the_page_s(turn: Turn) -> None:
    server, show = turn
    own = action("copy", {"n": 1}, handler="client")
    widget = node(
        "Card",
        node(
            "Form",
            node("Input", name="what", defaultValue="tea"),
            button("Copy", own),
            button("Fail", action("break", handler="client")),
        ),
    )
    view = show(
        widget,
        options="""{ widgets: { onAction: async (action, item) => {
          window.calls = [...(window.calls ?? []), [action, item.id, item.widget.type]];
          await new Promise(resolve => { window.finish = resolve; });
          if (action.type === "break") throw new Error("The page has no scissors.");
        } } }""",
    )
    view.get_by_role("button", name="Copy").click()
    expect(busy(view)).to_have_count(1)
    view.page.evaluate("finish()")
    expect(busy(view)).to_have_count(0)
    (call, item_id, root), *_ = view.page.evaluate("calls")
    assert call == {"type": "copy", "payload": {"n": 1, "what": "tea"}}
    assert item_id.startswith("msg_")
    assert root == "Card"
    view.get_by_role("button", name="Fail").click()
    view.page.wait_for_function("calls.length === 2")
    view.page.evaluate("finish()")
    expect(view.get_by_text("That did not work")).to_be_visible()
    expect(busy(view)).to_have_count(0)
    assert server.received.empty()


def test_an_action_that_wants_one_reply(turn: Turn) -> None:
    server, show = turn
    server.widgets["next"] = node("Card", text("Replied"))
    view = show(node("Card", text("Before"), button("Go", action("swap", {"to": "next"}, streaming=False))))
    view.get_by_role("button", name="Go").click()
    assert server.received.get(timeout=scaled(20)) == ("swap", {"to": "next"}, True)
    expect(view.get_by_text("Replied")).to_be_visible()
    expect(busy(view)).to_have_count(0)
    view.page.evaluate("chat.fetchUpdates()")
    expect(view.get_by_text("Replied")).to_be_visible()


def test_what_was_typed_survives_streamed_updates(turn: Turn) -> None:
    server, show = turn

    def grow(id_: str, delta: str, *, done: bool = False) -> WidgetStreamingTextValueDelta:
        return WidgetStreamingTextValueDelta(component_id=id_, delta=delta, done=done)

    server.deltas["it"] = [
        grow("plain", "one"),
        grow("plain", " two", done=True),
        grow("rich", "some **bo"),
        grow("rich", "ld** words\n\n- a list", done=True),
        WidgetComponentUpdated(
            component_id="state", component=DynamicWidgetComponent(type="Badge", id="state", label="Ready")
        ),
    ]
    view = show(
        node(
            "Card",
            text("", id="plain", streaming=True),
            node("Markdown", id="rich", value="", streaming=True),
            node("Badge", id="state", label="Working"),
            node("Input", name="note", placeholder="Note"),
            node("Select", name="choice", placeholder="Choice", options=options("one", "two")),
            node("Checkbox", name="sure", label="Sure"),
        ),
        waits=False,
    )
    note = view.get_by_role("textbox", name="Note")
    note.press_sequentially("half")
    view.get_by_role("checkbox").check()
    view.get_by_role("button", name="Choice").click()
    view.get_by_role("option", name="Two").click()
    note.focus()
    note.evaluate("field => { field.setSelectionRange(1, 3); window.field = field; }")
    shown = view.locator(".text").first
    for expected in ("one", "one two"):
        server.step()
        expect(shown).to_have_text(expected)
    expect(shown).to_have_class("text text-md streaming")
    server.step()
    expect(view.locator("strong")).to_have_text("bo")
    server.step()
    expect(view.locator("li")).to_have_text("a list")
    server.step()
    expect(view.get_by_text("Ready")).to_be_visible()
    expect(note).to_be_focused()
    expect(note).to_have_value("half")
    assert note.evaluate("f => [f === window.field, f.selectionStart, f.selectionEnd]") == [True, 1, 3]
    expect(view.get_by_role("checkbox")).to_be_checked()
    expect(view.get_by_role("button", name="Choice, Two")).to_be_visible()
    server.step()
    # Once the item is done nothing grows, whatever the widget still says.
    expect(shown).to_have_class("text text-md")
    expect(note).to_be_focused()
    assert view.locator("ck-markdown").evaluate("m => m.streaming") is False


def test_a_transition_shows_what_comes_next(turn: Turn) -> None:
    server, show = turn
    server.widgets["next"] = node("Card", node("Transition", text("Second", key="b")), text("Same"))
    view = show(
        node(
            "Card",
            node("Transition", text("First", key="a")),
            text("Same"),
            button("Go", action("swap", {"to": "next"})),
        )
    )
    view.get_by_text("Same").evaluate("element => { window.same = element; }")
    view.get_by_role("button", name="Go").click()
    expect(view.get_by_text("Second")).to_be_visible()
    assert view.locator(".transition > *").evaluate("e => e.getAnimations().length") >= 0
    assert view.locator(".transition > *").evaluate("e => getComputedStyle(e).animationName") == "appear"
    expect(view.get_by_text("First")).to_have_count(0)
    assert view.get_by_text("Same").evaluate("element => element === window.same")


def test_a_folded_card(turn: Turn) -> None:
    server, show = turn
    lines = [text(f"Line {n}") for n in range(12)]
    view = show(node("Card", *lines, button("Inside", action("inside")), collapsed=True))
    fold = view.get_by_role("button", name="Show details")
    assert view.get_by_text("Line 11").evaluate("e => e.closest('[inert]') !== null")
    fold.click()
    assert view.get_by_text("Line 11").evaluate("e => e.closest('[inert]') === null")
    view.get_by_role("button", name="Inside").click()
    assert server.next_action()[0] == "inside"
    expect(view.get_by_role("button", name="Hide details")).to_be_visible()


def test_everything_is_reached_on_a_phone(turn: Turn) -> None:
    _, show = turn
    columns = [node("Table.Cell", text(f"Column number {n}")) for n in range(8)]
    wide = node("Row", *(button(f"Button {n}") for n in range(8)), wrap="wrap")
    view = show(
        node("Card", FORM, node("Table", node("Table.Row", *columns)), wide, size="full"),
        viewport={"width": 320, "height": 640},
    )
    page = "() => document.scrollingElement.scrollWidth <= innerWidth"
    assert view.page.evaluate(page)
    scroller = ChatPage(view.page).element.locator(".scroller")
    assert scroller.evaluate("s => s.scrollWidth <= s.clientWidth")
    for control in view.get_by_role("button").all():
        box = control.bounding_box()
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= 320)
