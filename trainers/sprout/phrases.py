"""How goals are put into words, on each side. No goal of a suite is among them: a test compares them."""

import random

from wisen.trainers.sprout.words import Side

Phrases = dict[Side, tuple[str, ...]]

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_SHORT = ("1st", "2nd", "3rd", "4th", "5th", "6th")


def ordinal(draw: random.Random, number: int) -> str:
    return draw.choice((_ORDINALS, _SHORT))[number - 1]


def sides(train: str, held: str) -> Phrases:
    """One phrase per line."""
    return {
        Side.TRAIN: tuple(text.strip() for text in train.strip().splitlines()),
        Side.HELD: tuple(text.strip() for text in held.strip().splitlines()),
    }


PAGE_PHRASES: dict[str, Phrases] = {
    "press": sides(
        """Press "{x}".
        Click {x}.
        Click on {x}.
        Find the {role} "{x}" and click it.
        Go to the {role} {x}.
        Use the {role} named "{x}" now.
        Open {x}.
        Please click the "{x}" {role}.
        The {role} called {x} must be pressed.
        Hit {x} on this page.
        Take the {role} labeled "{x}" in the box.
        Select "{x}".""",
        """Activate "{x}".
        On this page, push the {role} that says {x}.
        I want {x} clicked.
        Follow "{x}".""",
    ),
    "radio": sides(
        """Choose {x} and press {s}.
        Select "{x}", then press "{s}".
        Pick {x} and then click "{s}".
        Take {x}; after that {s}.
        Mark the choice "{x}" and click the button {s}.
        Set it to {x}, then {s}.
        Choose "{x}" and click {s} to end.
        From the choices select {x}, and click on {s}.""",
        """Go for {x} and finish with {s}.
        Your choice is "{x}": confirm it by {s}.
        Let it be {x}, {s} ends it.""",
    ),
    "ticks": sides(
        """Tick {x} and press {s}.
        Tick {x}, then click "{s}".
        Check {x} and click on {s}.
        Mark {x}; then {s}.
        Choose {x} in the list of boxes and press "{s}".
        Select the boxes {x} and then press {s}.
        Check the following: {x}. Then click {s}.
        Pick {x} and no others, then {s}.""",
        """Put a tick at {x} before you press {s}.
        What we need: {x}. When they are set, {s}.
        Set {x}, close with {s}.""",
    ),
    "switches": sides("""Switch on {x} and press {s}.""", """Turn on {x} and press {s}.\nEnable {x}, then {s}."""),
    "field": sides(
        """Type "{v}" in the {f} field and press {s}.
        Enter "{v}" as {f}, then click "{s}".
        Put "{v}" into {f} and press "{s}".
        Fill in {f} with "{v}" and click {s}.
        Write "{v}" into the box {f}; then {s}.
        The {f} is "{v}". Enter it and {s}.
        Set {f} to "{v}" and click on {s}.""",
        """Let {f} read "{v}" and hit {s}.
        For {f} give "{v}", finally {s}.""",
    ),
    "field alone": sides(
        """Type "{v}" and press {s}.
        Enter "{v}" in the box, then click "{s}".
        Put "{v}" into the field and click {s}.
        Write "{v}" and press the button {s}.
        Fill in "{v}"; then {s}.
        Type the text "{v}" into the text box and click on {s}.""",
        """Answer with "{v}" and then {s}.
        Supply "{v}", finally {s}.""",
    ),
    "fields": sides(
        """Type "{v}" as {f} and "{w}" as {g}, then press {s}.
        Enter {f} "{v}" and {g} "{w}" and click "{s}".
        The {f} is "{v}", the {g} is "{w}". Click {s}.
        Fill in "{v}" for {f} and "{w}" for {g}; then {s}.
        Put "{v}" in the {f} field, "{w}" in the {g} field and click on {s}.
        With the {f} "{v}" and the {g} "{w}" press {s}.""",
        """As {f} give "{v}", as {g} give "{w}", and {s}.
        {s} with {f} "{v}" and {g} "{w}".""",
    ),
    "fields same": sides(
        """Type "{v}" in both boxes and press {s}.
        Enter "{v}" twice, then click "{s}".
        Put "{v}" into each field and click {s}.
        Fill in both fields with "{v}" and click on {s}.""",
        """Give "{v}" two times, then {s}.
        Both are "{v}"; {s}.""",
    ),
    "choose": sides(
        """Choose {x} in the list and press {s}.
        Set the list to "{x}", then click "{s}".
        Pick "{x}" from the menu and click {s}.
        In the drop-down take {x}; then {s}.
        Select "{x}" and press the {s} button.
        Find {x} in the list, choose it, and click on {s}.""",
        """Have the list show {x} and {s}.
        The entry "{x}" is the one; end with {s}.""",
    ),
    "nth": sides(
        """Click the {n} {role}.
        Press the {n} {role} of the page.
        Go to the {n} {role}.
        Put the cursor in the {n} {role}.
        Choose the {n} {role} from the top.
        Use the {n} {role} here.""",
        """Activate the {n} {role}.
        The {n} {role}, please.""",
    ),
    "kind": sides(
        """Click the {role}.
        Use any "{role}" on the page.
        Press a {role}.
        There is a {role} here: click it.
        Find an element of kind "{role}" and click on it.""",
        """Activate something that is a {role}.
        A {role} is what to press.""",
    ),
    "sequence": sides(
        """Click {x}.
        Press {x}, in this order.
        Click on {x}, one after the other.
        First {x}.
        Press the {role}s {x}.""",
        """In order: {x}.
        Work through {x}.""",
    ),
    "part type": sides(
        """type "{v}" as {f}
        enter "{v}" in the {f} field
        put "{v}" into {f}""",
        """let {f} read "{v}\"""",
    ),
    "part choose": sides(
        """choose {x} in the list
        set the list to "{x}"
        pick {x} from the menu""",
        """have the list show {x}""",
    ),
    "part tick": sides(
        """tick {x}
        check "{x}"
        mark {x}""",
        """put a tick at {x}""",
    ),
    "parts": sides(
        """{a}, {b} and press {s}.
        {a}, then {b}, then click "{s}".
        {a} and {b}; then {s}.
        First {a}, then {b} and click on {s}.""",
        """{a}; {b}; end with {s}.
        {a}, also {b}, finally {s}.""",
    ),
    "form": sides(
        """Type "{v}" as {f}, choose {x} and press {s}.""",
        """Type "{v}" in the {f} field, choose {x} and press {s}.
        Enter "{v}" as {f}, pick "{x}", then click "{s}".""",
    ),
}

# Goals of tasks with hidden ways: {n} is the noun of the task, {v} a value of its own.
WAY_PHRASES: dict[str, Phrases] = {
    "button": sides(
        """file the {n} {v}.
        keep the {n} {v}.
        send on the {n} {v}.
        the {n} {v} must be closed.
        pass the {n} {v} to the next desk.
        hand in the {n} {v}.""",
        """settle the {n} {v}.
        deal with the {n} {v}.""",
    ),
    "typed": sides(
        """enter the {n} {v}.
        add a {n} named {v}.
        record the {n} {v}.
        look for the {n} {v}.
        type the {n} {v} and store it.""",
        """note down the {n} {v}.
        put in the {n} {v}.""",
    ),
    "listed": sides(
        """export the {n} {v}.
        print the {n} {v}.
        order the {n} {v}.
        set the kind of the {n} {v}.""",
        """ship the {n} {v}.
        get the {n} {v} ready.""",
    ),
    "section": sides(
        """open the {n} {v}.
        find the {n} {v}.
        show the {n} {v}.
        go to the {n} {v}.""",
        """bring up the {n} {v}.
        have a look at the {n} {v}.""",
    ),
    "argument": sides(
        """open a {n} {v}.
        create the {n} {v}.
        report a {n} {v}.
        book the {n} {v}.
        ask for the {n} {v}.""",
        """raise a {n} {v}.
        there is a {n} {v} to enter.""",
    ),
    "tool": sides(
        """take up the {n} {v}.
        handle the {n} {v}.
        work on the {n} {v}.
        finish the {n} {v}.""",
        """see to the {n} {v}.
        complete the {n} {v}.""",
    ),
    "folder": sides(
        """store the {n} {v}.
        save the {n} {v}.
        put away the {n} {v}.
        archive the {n} {v}.""",
        """lay down the {n} {v}.
        keep a copy of the {n} {v}.""",
    ),
    "place": sides(
        """bring a {n} to the {v}.
        put some {n} on the {v}.
        fetch a {n} for the {v}.
        move a {n} to the {v}.""",
        """carry a {n} over to the {v}.
        the {v} needs a {n}.""",
    ),
    "utensil": sides(
        """{v} the {n}.
        {v} a {n} well.
        take the {n} and {v} it.""",
        """the {n} is to {v}.
        see that you {v} the {n}.""",
    ),
    "repair": sides(
        """repair the {n} function {v}.
        the function {v} of the {n} is wrong.
        correct {v} in the {n} module.""",
        """mend {v} of the {n}.
        {v} breaks the {n}: put it right.""",
    ),
    "menu": sides("use the {n} {v}.", "do the {n} {v} by the menu.\ntake the {n} {v} from the menu."),
    "two": sides("register the {n} {v}.", "check in the {n} {v}.\nadmit the {n} {v}."),
    "container": sides("get the {n}.", "you want the {n} for the {v}.\npick up the {n}."),
    "module": sides("complete the {n} {v}.", "give {v} the {n} that it lacks.\n{v} needs its {n} import."),
}
