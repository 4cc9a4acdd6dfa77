"""A server whose answers are good to look at, and the states of the page that its screenshots show."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

from playwright.sync_api import expect

from chatkit.demo import GuideServer
from chatkit.demo.work import picture
from chatkit.ids import new_id
from chatkit.types import (
    AssistantMessageItem,
    CustomTask,
    GeneratedImage,
    GeneratedImageItem,
    GeneratedImageUpdated,
    SearchTask,
    TextContent,
    TextDelta,
    ThoughtTask,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    WidgetItem,
    Workflow,
    WorkflowItem,
)
from chatkit.widgets import DynamicWidgetRoot
from tests.browser.chat_page import ChatPage
from tests.support.scale import scaled

__all__ = ["STATES", "VARIANTS", "ShowServer", "State", "Variant"]

Json = dict[str, Any]


class Variant(NamedTuple):
    """A look in which each state is shown."""

    name: str
    theme: str
    locale: str
    width: int
    height: int


VARIANTS: Final = (
    Variant("light", "light", "en", 1100, 800),
    Variant("dark", "dark", "en", 1100, 800),
    Variant("rtl", "light", "ar", 1100, 800),
    Variant("phone", "light", "en", 390, 800),
)

_ANSWER: Final = """\
A **moving average** takes the last *n* values. With weights \\(w_i\\) that sum to one:

$$
\\bar{x}_t = \\sum_{i=0}^{n-1} w_i \\, x_{t-i}
$$

```python
def moving_average(values: list[float], size: int) -> list[float]:
    \"\"\"Returns the mean of each window of that size.\"\"\"
    window = sum(values[:size])  # kept up to date
    means = [window / size]
    for new, old in zip(values[size:], values):
        window += new - old
        means.append(window / size)
    return means
```

| Window | Delay | Noise left | Good for |
|:--|--:|--:|---|
| 5 | 2 days | 45 % | daily decisions |
| 20 | 10 days | 22 % | trends of a month |

- [x] cheap: one addition and one subtraction for each value
- [ ] blind to what happens inside of the window

> Choose the window as long as the delay that you can bear.
"""
_ARABIC: Final = """\
**المتوسط المتحرك** يأخذ آخر *n* من القيم، حيث مجموع الأوزان \\(w_i\\) يساوي واحدًا:

$$
\\bar{x}_t = \\sum_{i=0}^{n-1} w_i \\, x_{t-i}
$$

```python
def moving_average(values: list[float], size: int) -> list[float]:
    window = sum(values[:size])  # kept up to date
    return [window / size]
```

| النافذة | التأخير | مناسبة لـ |
|:--|--:|---|
| 5 | يومان | القرارات اليومية |
| 20 | 10 أيام | اتجاهات الشهر |

- [x] رخيص: عملية جمع واحدة وعملية طرح واحدة لكل قيمة
- [ ] لا يرى ما يحدث داخل `window`

> اختر نافذة بطول التأخير الذي يمكنك تحمّله.
"""

_NOTES: Final = """\
Two towers, as of this year.[^height] Neither is open in a storm.[^storm]

> [!NOTE]
> Prices are *per person*.

> [!TIP]
> Tickets of the evening are cheaper.

> [!IMPORTANT]
> Bring the card that you paid with.

> [!WARNING]
> - The lift to the top is closed.
> - The stairs have `674` steps.

> [!CAUTION]
> Nobody is let in after 22:30.

A picture of each: ![the Eiffel tower at night](https://pictures.example/eiffel.jpg) and ![](https://pictures.example/tokyo.jpg)

[^height]: With the antenna, after [its owner](https://www.toureiffel.paris/).
[^storm]: From force 9 on.
"""
_NOTES_ARABIC: Final = """\
برجان، حسب أرقام هذا العام.[^height] لا يُفتح أي منهما في العاصفة.[^storm]

> [!NOTE]
> الأسعار *للشخص الواحد*.

> [!WARNING]
> - المصعد إلى القمة مغلق.
> - عدد الدرجات `674`.

صورة: ![برج إيفل ليلًا](https://pictures.example/eiffel.jpg)

[^height]: مع الهوائي.
[^storm]: ابتداءً من القوة 9.
"""


def _node(kind: str, /, *children: Json, **fields: Any) -> Json:
    return {"type": kind, **({"children": list(children)} if children else {}), **fields}


def _field(label: str, control: str, name: str, **fields: Any) -> Json:
    return _node(
        "Col",
        _node("Label", value=label, fieldName=name),
        _node(control, name=name, block=True, **fields),
        gap=1,
        flex=1,
    )


_FORM: Final = _node(
    "Card",
    _node("Title", value="Plan a trip"),
    _node("Caption", value="We look for trains as soon as you press “Plan it”."),
    _node(
        "Form",
        _field("Destination", "Input", "to", placeholder="Bergen", required=True),
        _node(
            "Row",
            _field("Class", "Select", "class", defaultValue="eco", options=[
                {"value": "eco", "label": "Economy"}, {"value": "first", "label": "First"}]),
            _field("Day", "DatePicker", "day", defaultValue="2026-12-04", clearable=True),
            gap=3,
        ),
        _field("Wishes", "Textarea", "wishes", rows=2, placeholder="A quiet compartment"),
        _node("RadioGroup", name="seat", ariaLabel="Seat", defaultValue="window", options=[
            {"value": "window", "label": "Window"}, {"value": "aisle", "label": "Aisle"},
            {"value": "any", "label": "No matter", "disabled": True}]),
        _node("Checkbox", name="insured", label="Travel insurance", defaultChecked=True),
        _node("Divider"),
        _node(
            "Row",
            _node("Badge", label="3 seats left", color="warning", pill=True),
            _node("Spacer"),
            _node("Button", label="Reset", variant="ghost"),
            _node("Button", label="Plan it", style="primary", submit=True, iconEnd="chevron-right"),
        ),
        onSubmitAction={"type": "plan"},
    ),
    status={"text": "Draft", "icon": "calendar"},
)  # fmt: skip
_SALES: Final = [
    {"month": month, "web": 120 + 31 * n, "shop": 90 + 53 * n % 70, "partners": 40 + 29 * n % 45}
    for n, month in enumerate(("Jan", "Feb", "Mar", "Apr", "May", "Jun"))
]
_CHART: Final = _node(
    "Card",
    _node(
        "Row",
        _node("Col", _node("Title", value="€2,148", size="xl"), _node("Caption", value="Sales by channel"), gap=0),
        _node("Spacer"),
        _node("Badge", label="+18 %", color="success", size="md"),
    ),
    _node("Chart", data=_SALES, xAxis="month", showYAxis=True, height=200, series=[
        {"type": "bar", "dataKey": key, "label": key.title(), "stack": "all"} for key in ("web", "shop", "partners")]),
    _node("Divider", flush=True),
    _node("Chart", data=_SALES, xAxis="month", showYAxis=True, height=150, series=[
        {"type": "area", "dataKey": "web", "label": "Web", "color": "teal"},
        {"type": "line", "dataKey": "shop", "label": "Shop", "color": "orange"}]),
    size="lg",
)  # fmt: skip
_LIST: Final = _node(
    "ListView",
    *(
        _node(
            "ListViewItem",
            _node("Box", _node("Icon", name="map-pin", color="blue-700"), background="blue-100", radius="md", size=40,
                  align="center", justify="center"),
            _node("Col", _node("Text", value=town, weight="medium"),
                  _node("Caption", value=f"Departs 0{n + 6}:40, without a change"), flex=1, gap=0),
            _node("Text", value=f"€{24 + n * 7}", weight="semibold"),
            onClickAction={"type": "choose"},
        )
        for n, town in enumerate(("Bergen", "Oslo", "Trondheim", "Stavanger", "Tromsø"))
    ),
    limit=3,
    status={"text": "5 connections", "icon": "compass"},
)  # fmt: skip
_REASONING: Final = Workflow(
    type="reasoning",
    expanded=True,
    tasks=[
        ThoughtTask(title="Reading the question", content="The user wants a **comparison** of two towers."),
        SearchTask(
            title="Looking for figures",
            status_indicator="complete",
            queries=["eiffel tower height", "tokyo tower height"],
            sources=[
                URLSource(title="Eiffel Tower", url="https://www.toureiffel.paris/"),
                URLSource(title="Tokyo Tower", url="https://en.tokyotower.co.jp/"),
            ],
        ),
        CustomTask(title="Checked the units", status_indicator="complete", content="Both are in metres."),
        CustomTask(title="Writing", status_indicator="loading"),
    ],
)


class ShowServer(GuideServer):
    """The guide with more to look at. What is named `... held` stays as it is until the turn is stopped."""

    async def respond(
        self, thread: ThreadMetadata, input: UserMessageItem | None, context: Any
    ) -> AsyncIterator[ThreadStreamEvent]:
        name = input.content[0].text if input is not None and input.content else ""
        widgets = {"Plan a trip": _FORM, "How are sales?": _CHART, "Trains from here": _LIST}
        if input is not None and input.attachments:
            name = "attachments"
        if name in widgets:
            thread.title = name
            root = DynamicWidgetRoot.model_validate(widgets[name])
            yield ThreadItemDoneEvent(item=WidgetItem(id=new_id("message"), widget=root))
        elif name in ("Explain moving averages", "اشرح المتوسط المتحرك"):
            thread.title = name
            text = _ANSWER if name.startswith("Explain") else _ARABIC
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(id=new_id("message"), content=[TextContent(text=text)])
            )
        elif name in ("Notes", "ملاحظات"):
            text = _NOTES if name == "Notes" else _NOTES_ARABIC
            yield ThreadItemDoneEvent(
                item=AssistantMessageItem(id=new_id("message"), content=[TextContent(text=text)])
            )
        elif name == "Go on writing":
            async for event in self._held(_ANSWER[:420]):
                yield event
        elif name == "Which tower is taller?":
            item = WorkflowItem(id=new_id("workflow"), workflow=_REASONING)
            yield ThreadItemAddedEvent(item=item)
            await asyncio.Event().wait()
        elif name == "Draw a landscape":
            drawing = GeneratedImageItem(id=new_id("message"))
            yield ThreadItemAddedEvent(item=drawing)
            image = GeneratedImage(id=new_id("message"), url=picture(32))
            yield ThreadItemUpdatedEvent(
                item_id=drawing.id, update=GeneratedImageUpdated(image=image, progress=0.6)
            )
            await asyncio.Event().wait()
        else:
            async for event in super().respond(thread, input, context):
                yield event

    async def _held(self, text: str) -> AsyncIterator[ThreadStreamEvent]:
        message = AssistantMessageItem(id=new_id("message"), content=[])
        yield ThreadItemAddedEvent(item=message)
        yield ThreadItemUpdatedEvent(id=message.id, delta=TextDelta(text=text))
        await asyncio.Event().wait()


class State(NamedTuple):
    """Something to look at: its name, and how it comes about."""

    name: str
    show: Callable[[ChatPage, Variant], None]


def _say(text: str, shown: str, *, idle: bool = True) -> Callable[[ChatPage, Variant], None]:
    def show(chat: ChatPage, variant: Variant) -> None:
        _send(chat, text)
        expect(chat.element.locator(shown).first).to_be_visible(timeout=scaled(20_000))
        if idle:
            expect(chat.element.locator(".send")).to_be_visible(timeout=scaled(20_000))

    return show


def _send(chat: ChatPage, text: str) -> None:
    box = chat.element.locator("textarea.input")
    box.fill(text)
    # Enter is a line break on a phone.
    chat.element.locator(".send").click()
    expect(chat.bubbles.last).to_be_visible()


def _answer(chat: ChatPage, variant: Variant) -> None:
    _send(chat, "اشرح المتوسط المتحرك" if variant.locale == "ar" else "Explain moving averages")
    expect(chat.element.locator("math").first).to_be_visible()
    expect(chat.element.locator(".hljs-keyword").first).to_be_visible()
    chat.element.locator(".scroller").evaluate("s => s.scrollTo(0, 0)")


def _notes(chat: ChatPage, variant: Variant) -> None:
    _say("ملاحظات" if variant.locale == "ar" else "Notes", ".image-button")(chat, variant)
    chat.element.locator(".scroller").evaluate("s => s.scrollTo(0, 0)")


_ENTITIES: Final = """({ theme, locale }) => document.querySelector("openai-chatkit").setOptions({
  api: { url: new URL("chatkit", document.baseURI).href, domainKey: "none" }, theme, locale, entities: {
    onTagSearch: async () => [{ id: "order", title: "Order 7", group: "Orders", interactive: true }],
    onRequestPreview: async () => ({ preview: { type: "Card", children: [
      { type: "Title", value: "Order 7" }, { type: "Caption", value: "Two teapots, sent on Friday" },
      { type: "Badge", label: "On its way", color: "info" } ] } }) } })"""


def _tag(chat: ChatPage, variant: Variant) -> None:
    expect(chat.element.locator(".prompt").first).to_be_visible()
    chat.page.evaluate(_ENTITIES, {"theme": variant.theme, "locale": variant.locale})
    box = chat.element.locator("textarea.input")
    box.press_sequentially("hello @Or")
    chat.element.get_by_role("option").first.click()
    chat.element.locator(".send").click()
    expect(chat.element.locator(".send")).to_be_visible(timeout=scaled(20_000))
    chat.element.locator(".user .tag").focus()
    expect(chat.element.get_by_role("tooltip")).to_contain_text("On its way")


def _sources(chat: ChatPage, variant: Variant) -> None:
    _say("sources", "ck-sources summary")(chat, variant)
    chat.element.locator("ck-sources summary").click()
    expect(chat.element.locator("ck-sources .source").first).to_be_visible()


def _picker(chat: ChatPage, variant: Variant) -> None:
    _say("Plan a trip", "ck-widget form")(chat, variant)
    chat.element.locator("ck-date-picker .control").click()
    expect(chat.element.locator(".calendar")).to_be_visible()


def _attachments(chat: ChatPage, variant: Variant) -> None:
    files = [
        {"name": "figures of the last quarter.csv", "mimeType": "text/csv", "buffer": b"a,b"},
        {"name": "chart.png", "mimeType": "image/png", "buffer": _png()},
    ]
    chooser = chat.element.locator("input[type=file]")
    chooser.set_input_files(files)  # pyright: ignore[reportArgumentType] -- a list of dictionaries is taken
    expect(chat.element.locator(".upload.ready")).to_have_count(2)
    _send(chat, "Two files")
    expect(chat.element.locator(".send")).to_be_visible(timeout=scaled(20_000))
    chooser.set_input_files(files)  # pyright: ignore[reportArgumentType] -- as above
    expect(chat.element.locator(".upload.ready")).to_have_count(2)


def _png() -> bytes:
    import base64

    return base64.b64decode(picture(64).partition(",")[2])


def _locked(chat: ChatPage, variant: Variant) -> None:
    _say("lock", ".lock", idle=False)(chat, variant)
    expect(chat.element.locator("ck-widget .button")).to_be_visible()


_SEND: Final = "text => document.querySelector('openai-chatkit').sendUserMessage({ text, newThread: true })"


def _history(chat: ChatPage, variant: Variant) -> None:
    expect(chat.element.locator("textarea.input")).to_be_visible()
    for title in (
        "hello",
        "Plan a trip",
        "How are sales?",
        "Explain moving averages",
        "اشرح المتوسط المتحرك",
    ):
        chat.page.evaluate(_SEND, title)
        expect(chat.bubbles).to_have_text([title])
        expect(chat.element.locator(".send")).to_be_visible(timeout=scaled(20_000))
    if variant.name == "phone":
        chat.element.get_by_role("button", name="menu", exact=True).click()
    current = chat.sidebar.locator("li.thread").first
    expect(current).to_be_visible()
    current.hover()


def _search(chat: ChatPage, variant: Variant) -> None:
    _history(chat, variant)
    chat.sidebar.get_by_role("searchbox").fill("المتوسط" if variant.locale == "ar" else "average")
    expect(chat.sidebar.locator("mark").first).to_be_visible()


STATES: Final = (
    State("start", lambda chat, variant: expect(chat.element.locator(".prompt").first).to_be_visible()),
    State("answer", _answer),
    State("notes", _notes),
    State("tag", _tag),
    State("streaming", _say("Go on writing", ".hljs-keyword", idle=False)),
    State("workflow", _say("Which tower is taller?", "ck-task", idle=False)),
    State("form", _say("Plan a trip", "ck-widget form")),
    State("date-picker", _picker),
    State("chart", _say("How are sales?", "ck-chart path.line")),
    State("list", _say("Trains from here", "ck-widget .more")),
    State("image", _say("Draw a landscape", "ck-generated-image img", idle=False)),
    State("sources", _sources),
    State("error", _say("error", "[part=error]")),
    State("notice", _say("notice", "[part=notice]")),
    State("questions", _say("questions", "form.questions")),
    State("attachments", _attachments),
    State("locked", _locked),
    State("history", _history),
    State("search", _search),
)
