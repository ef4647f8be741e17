"""Plays MiniWoB++ by rule, from what is shown and nothing else. For tests and benchmarks only."""

import re
from collections.abc import Callable, Sequence

from wisen.core.records import Action, Observation, Task
from wisen.environments.web.oracle_page import ORDINALS, Page

SUBMIT = 'click button "Submit"'


def _names(page: Page) -> list[str]:
    middle = re.sub(r"^Select | (?:from the (?:scroll )?list )?and click Submit\.$", "", page.goal)
    return [] if middle == "nothing" else middle.split(", ")


def _pick(page: Page) -> list[str]:
    return [*(page.click(name) for name in _names(page)), SUBMIT]


def _one(label: Callable[[Page], str]) -> Callable[[Page], list[str]]:
    return lambda page: [page.click(label(page))]


def _typed(value: Callable[[Page], str]) -> Callable[[Page], list[str]]:
    return lambda page: [page.fill(value(page)), SUBMIT]


def _login(page: Page) -> list[str]:
    """A message may come up as soon as an input is entered, and hold all else until it is sent away."""
    if page.has("Cancel"):
        return ['click button "Cancel"']
    name, word = (line.value for line, _ in page.inputs())
    if page.has("OK") and (not name or not word):
        return [page.fill(page.quoted[1], 2) if name else page.fill(page.quoted[0])]
    button = "Login" if page.has("Login") else "OK"
    if page.has("OK"):
        return [page.click(button)]
    return [page.fill(page.quoted[0]), page.fill(page.quoted[1], 2), page.click(button)]


def _widget(page: Page) -> list[str]:
    kind = {"text": ("textbox",), "textarea": ("textbox",)}.get(page.quoted[0], (page.quoted[0],))
    return [f"click {page.targets(*kind)[-1 if page.quoted[0] == 'textarea' else 0][1]}"]


def _email(page: Page) -> list[str]:
    who = re.search(r"email by ([\w-]+)", page.goal)
    assert who
    if not page.has(who[1]):
        return []
    rows = [line.label for line in page.lines if line.role == "button"]
    before = rows[: rows.index(who[1])]
    if "trash icon" in page.goal or "star icon" in page.goal:
        icon = ".trash" if "trash icon" in page.goal else ".star"
        return [page.click(icon, before.count(icon) + 1)]
    if "forward" in page.goal:
        to = page.goal.removesuffix(".").rsplit(" ", 1)[1]
        return [
            page.click(who[1]),
            'click button "Forward"',
            f'type textbox "to" "{to}"',
            'click button "#send-forward"',
        ]
    return [
        page.click(who[1]),
        'click button "Reply"',
        f'type textbox 1 "{page.quoted[0]}"',
        'click button "#send-reply"',
    ]


def _found_in_tabs(page: Page) -> list[str]:
    """Click on the link if it is shown, else look behind the next of the tabs."""
    if any(line.role == "button" and line.label == page.quoted[0] for line in page.lines):
        return [page.click(page.quoted[0], roles=("button",))]
    tabs = [line for line in page.lines if line.role in ("tab", "link")]
    panels = [line.label for line in page.lines if line.role == "tabpanel"]
    shown = next((index for index, tab in enumerate(tabs) if tab.label in panels), -1)
    return [page.click(tabs[(shown + 1) % len(tabs)].label, roles=("tab", "link"))]


def _date(page: Page) -> list[str]:
    month, day, year = re.findall(r"\d+", page.goal)[:3]
    said = next((line.label for line in page.lines if re.fullmatch(r"[A-Z][a-z]+ \d{4}", line.label)), "")
    if not said:
        return [f"click {page.inputs()[0][1]}"]
    months = "January February March April May June July August September October November December".split()
    at = int(said.split()[1]) * 12 + months.index(said.split()[0])
    away = int(year) * 12 + int(month) - 1 - at
    if away:
        return [page.click("Next" if away > 0 else "Prev")]
    return [page.click(str(int(day))), SUBMIT]


def _menu(page: Page) -> list[str]:
    *above, last = page.goal.removeprefix("Select ").split(">")
    return [*(f'hover menuitem "{name}"' for name in above), f'click menuitem "{last}"']


def _labelled(page: Page) -> dict[str, str]:
    """A table of two columns."""
    cells = [line.label for line in page.lines if line.role == "cell"]
    return dict(zip(cells[::2], cells[1::2], strict=True))


def _table_form(page: Page) -> list[str]:
    table = _labelled(page)
    return [*(f'type {words} "{table[line.label]}"' for line, words in page.inputs()), SUBMIT]


def _odd_or_even(page: Page) -> list[str]:
    numbers = [int(line.label) for line in page.lines if line.role == "text" and line.label.lstrip("-").isdigit()]
    return [*(page.click("Odd" if number % 2 else "Even", nth + 1) for nth, number in enumerate(numbers)), SUBMIT]


def _greatest(page: Page) -> list[str]:
    numbers = [line.label for line in page.lines if line.role == "button" and line.label.isdigit()]
    return [page.click(max(numbers, key=int)), SUBMIT]


def _ascending(page: Page) -> list[str]:
    """All but the first are covered once that is clicked; the covers are listed in the order of their numbers."""
    return ['click button "1"', *['click button ".rect" 1'] * 3, 'click button ".rect"']


def _word(page: Page) -> list[str]:
    text = next(line.label for line in page.lines if line.role == "text" and " " in line.label)
    return [page.fill(text.split()[page.number() - 1].strip(",.")), SUBMIT]


def _arithmetic(page: Page) -> list[str]:
    said = next(line.label for line in page.lines if "=" in line.label and re.search(r"\d", line.label))
    left, sign, right = re.split(r" ([x+-]) ", said.split("=")[0].strip())
    one, other = int(left), int(right)
    return [page.fill(str({"x": one * other, "+": one + other, "-": one - other}[sign])), SUBMIT]


def _algebra(page: Page) -> list[str]:
    said = next(line.label for line in page.lines if "=" in line.label and re.search(r"\d", line.label))
    left, total = said.split("=")
    first, sign, second = left.split()
    result = int(total)
    if first == "x":
        found = result - int(second) if sign == "+" else result + int(second)
    else:
        found = result - int(first) if sign == "+" else int(first) - result
    return [page.fill(str(found)), SUBMIT]


def _autocomplete(page: Page) -> list[str]:
    box = page.inputs()[0]
    if not box[0].value:
        return [f'type {box[1]} "{page.quoted[0].strip()}"']
    end = page.quoted[1] if len(page.quoted) > 1 else ""
    items = [line.label for line in page.lines if line.role in ("button", "menuitem") and line.label != "Submit"]
    chosen = next(label for label in items if label.startswith(page.quoted[0]) and label.endswith(end))
    return [page.click(chosen), SUBMIT]


def _social(page: Page) -> list[str]:
    """Posts in reading order; in each, who wrote it stands before its buttons."""
    name, who = re.search(r'"(\w+)" button', page.goal), re.search(r"@\w+", page.goal)
    assert name and who
    label, nth, author, wanted = f".{name[1].lower()}", 0, "", []
    for line in page.lines:
        if line.role == "text" and (found := re.search(r"@\w+", line.label)):
            author = found[0]
        elif line.role == "button" and line.label == label:
            nth += 1
            if author == who[0]:
                wanted.append(page.click(label, nth))
    many = re.search(r"on (\d+) post", page.goal)
    # The last first: a button that was pressed bears another name, and those after it another ordinal.
    return [*reversed(wanted[: int(many[1]) if many else None]), SUBMIT]


def _ticket(page: Page) -> list[str]:
    prices = [int(line.label.rsplit("$", 1)[1]) for line in page.lines if "$" in line.label]
    lengths = [
        int(found[1]) * 60 + int(found[2])
        for line in page.lines
        if (found := re.fullmatch(r"(\d+)h (\d+)m", line.label))
    ]
    ranked = lengths if "duration" in page.goal else prices
    best = max(ranked) if re.search("longest|most", page.goal) else min(ranked)
    return [page.click(f"Book for ${prices[ranked.index(best)]}")]


def _movies(page: Page) -> list[str]:
    said = re.fullmatch(r"Search for (.+) movies directed by (.+) from year (\d+)\.", page.goal)
    assert said
    values = {"genre": said[1], "director": said[2], "year": said[3], "date": said[3]}
    boxes = page.inputs()
    heads = [line.label for line in page.lines if re.search("genre|director|year|date", line.label, re.IGNORECASE)]
    words = [
        f'type {target} "{next(value for key, value in values.items() if key in head.lower())}"'
        for head, (_, target) in zip(heads, boxes, strict=True)
    ]
    last = next(line.label for line in reversed(page.lines) if line.role == "button")
    return [*words, page.click(last)]


def _guess(page: Page) -> list[str]:
    """From the middle, one by one: only what was said last is shown."""
    said = re.search(r"number is (lower|higher) than (\d)", " ".join(line.label for line in page.lines))
    if not said:
        return ['type spinbutton 1 "5"', SUBMIT]
    return [f'type spinbutton 1 "{int(said[2]) + (1 if said[1] == "higher" else -1)}"', SUBMIT]


def _generate(page: Page) -> list[str]:
    number = next((int(line.label) for line in page.lines if re.fullmatch(r"-?\d+", line.label)), None)
    if number is not None:
        limit = int((re.findall(r"\d+", page.goal) or ["0"])[0])
        good = {
            "even": number % 2 == 0,
            "odd": number % 2 == 1,
            "less": number < limit,
            "greater": number > limit,
        }
        if next(value for word, value in good.items() if word in page.goal):
            return [SUBMIT]
    return ['click button "Generate"']


def _search(page: Page) -> list[str]:
    """Three results on a leaf; which leaf is shown nobody says, so the way there and the click are decided together."""
    if not any(line.role == "link" for line in page.lines):
        return [page.fill(page.quoted[0]), page.click("Search")]
    leaf, place = divmod(page.number() - 1, 3)
    links = [line.label for line in page.lines if line.role == "link"]
    results = [label for label in links if label not in "<>" and not label.isdigit()]
    first_leaf = "<" not in links
    if leaf and first_leaf:
        return [page.click(str(leaf + 1), roles=("link",))]
    return [page.click(results[place], 1 + results[:place].count(results[place]), ("link",))]


def _tree(page: Page) -> list[str]:
    if page.has(page.quoted[0]):
        return [page.click(page.quoted[0])]
    return [page.click(".hitarea.expandable-hitarea")]


def _contact(page: Page) -> list[str]:
    said = re.search(r"Find (\w+) .* their (phone|email|address)", page.goal)
    assert said
    if page.lines[0].label != said[1]:
        return [page.click(">", roles=("link",))]
    at = next(index for index, line in enumerate(page.lines) if said[2] in line.label.lower() and line.role == "text")
    return [page.click(page.lines[at + 1].label)]


def _sequence(page: Page) -> list[str]:
    value = re.search(r"Select (-?\d+)", page.goal)
    assert value
    return [*page.move(1, int(value[1])), f"click checkbox {page.number()}", SUBMIT]


def _sequence_2(page: Page) -> list[str]:
    first, second = (ORDINALS[word] for word in page.goal.split() if word in ORDINALS)
    return [f"click {page.targets('radio')[first - 1][1]}", page.fill(page.quoted[0], second), SUBMIT]


def _sequence_3(page: Page) -> list[str]:
    said = re.search(r'Choose (.+) from .* "(\w+)"', page.goal)
    assert said
    return [f'select combobox 1 "{said[1]}"', page.click(said[2])]


def _sliders(page: Page) -> list[str]:
    values = [int(number) for number in re.findall(r"-?\d+", page.goal)]
    return [*(text for nth, value in enumerate(values, 1) for text in page.move(nth, value)), SUBMIT]


def _spinner(page: Page) -> list[str]:
    value = re.search(r"-?\d+", page.goal)
    assert value
    box, words = page.inputs()[0]
    away = int(value[0]) - int(box.value or 0)
    key = "ArrowUp" if away > 0 else "ArrowDown"
    return [*([f'press {words} "{key} x{abs(away)}"'] if away else []), SUBMIT]


def _copied(page: Page) -> list[str]:
    """These texts end with a space, which counts."""
    boxes = page.inputs()
    full = [line.value for line, _ in boxes if line.value]
    empty = next(words for line, words in boxes if not line.value)
    return [f'type {empty} "{full[page.number() - 1 if "text area" in page.goal else 0]} "', SUBMIT]


def _agreement(page: Page) -> list[str]:
    if not page.quoted:
        return ['click button "Cancel"']
    scroll = f'scroll {page.inputs()[0][1]} "bottom"'
    if len(page.inputs()) < 2 or "disabled" in page.inputs()[1][0].states:
        return [scroll]
    return [page.fill(page.quoted[0], 2), page.click(page.quoted[1])]


def _letters(page: Page) -> list[str]:
    return [page.fill("".join(line.label for line in page.lines if line.role == "text")), SUBMIT]


RULES: dict[str, Callable[[Page], list[str]]] = {
    "ascending-numbers": _ascending,
    "buy-ticket": _ticket,
    "choose-date": _date,
    "choose-date-easy": _date,
    "choose-date-medium": _date,
    "choose-date-nodelay": _date,
    "choose-list": lambda page: [f'select combobox 1 "{", ".join(_names(page))}"', SUBMIT],
    "click-button": _one(lambda page: page.quoted[0]),
    "click-button-sequence": lambda page: [page.click("ONE"), page.click("TWO")],
    "click-checkboxes": _pick,
    "click-checkboxes-large": _pick,
    "click-checkboxes-transfer": _pick,
    "click-collapsible": lambda page: [page.click(page.lines[0].label), SUBMIT],
    "click-collapsible-nodelay": lambda page: [page.click(page.lines[0].label), SUBMIT],
    "click-collapsible-2": _found_in_tabs,
    "click-collapsible-2-nodelay": _found_in_tabs,
    "click-dialog": _one(lambda page: "Close"),
    "click-dialog-2": _one(lambda page: "Close" if page.quoted[0] == "x" else page.quoted[0]),
    "click-link": _one(lambda page: page.quoted[0]),
    "click-menu": _menu,
    "click-option": _pick,
    "click-scroll-list": _pick,
    "click-tab": _one(lambda page: page.goal.removeprefix("Click on ").removesuffix(".")),
    "click-tab-2": _found_in_tabs,
    "click-tab-2-easy": _found_in_tabs,
    "click-tab-2-hard": _found_in_tabs,
    "click-tab-2-medium": _found_in_tabs,
    "click-test": _one(lambda page: "Click Me!"),
    "click-test-2": _one(lambda page: "ONE"),
    "click-test-transfer": _one(lambda page: "ONE"),
    "click-widget": _widget,
    "copy-paste": _copied,
    "copy-paste-2": _copied,
    "email-inbox": _email,
    "email-inbox-delete": _email,
    "email-inbox-forward": _email,
    "email-inbox-important": _email,
    "email-inbox-noscroll": _email,
    "email-inbox-reply": _email,
    "email-inbox-star-reply": _email,
    "enter-date": _typed(lambda page: re.findall(r"[\d/]+", page.goal)[0]),
    "enter-password": lambda page: [page.fill(page.quoted[0]), page.fill(page.quoted[0], 2), SUBMIT],
    "enter-text": _typed(lambda page: page.quoted[0]),
    "enter-text-2": _typed(lambda page: page.quoted[0].upper() if "upper" in page.goal else page.quoted[0].lower()),
    "enter-text-dynamic": _typed(lambda page: page.quoted[0]),
    "enter-time": _typed(lambda page: re.findall(r"\d+:\d+ [AP]M", page.goal)[0]),
    "find-greatest": _greatest,
    "find-word": _word,
    "focus-text": lambda page: [f"click {page.inputs()[0][1]}"],
    "focus-text-2": lambda page: [f"click {page.inputs()[page.number() - 1][1]}"],
    "form-sequence": _sequence,
    "form-sequence-2": _sequence_2,
    "form-sequence-3": _sequence_3,
    "generate-number": _generate,
    "grid-coordinate": _one(lambda page: "#" + re.findall(r"[(].*[)]", page.goal)[0] + ".plot-point"),
    "guess-number": _guess,
    "login-user": _login,
    "login-user-popup": _login,
    "multi-layouts": _movies,
    "multi-orderings": _movies,
    "navigate-tree": _tree,
    "odd-or-even": _odd_or_even,
    "phone-book": _contact,
    "read-table": lambda page: [page.fill(_labelled(page)[re.findall(r"value of (.+) into", page.goal)[0]]), SUBMIT],
    "read-table-2": _table_form,
    "search-engine": _search,
    "sign-agreement": _agreement,
    "simple-algebra": _algebra,
    "simple-arithmetic": _arithmetic,
    "social-media-all": _social,
    "social-media-some": _social,
    "text-transform": _letters,
    "unicode-test": _one(lambda page: page.quoted[0]),
    "use-autocomplete": _autocomplete,
    "use-autocomplete-nodelay": _autocomplete,
    "use-slider": _sliders,
    "use-slider-2": _sliders,
    "use-spinner": _spinner,
}


class MiniWobOracle:
    """Implements `Oracle` for the families in `RULES`. Looks at nothing that an agent does not see."""

    families = tuple(RULES)

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        """What to do next, as far as the page tells; of a page that it has no rule for, nothing."""
        rule = RULES.get(task.params["page"])
        return tuple(Action(text=text) for text in rule(Page(observation))) if rule else ()
