"""The kinds of tasks with hidden ways: on pages, with tools, in rooms, in programs. Some are held out."""

import random
from collections.abc import Sequence

from wisen.trainers.sprout.ways import Cast, Job, Kind, Stage
from wisen.trainers.sprout.words import Lexicon

# The same act has many names: who knows only one of them does not know what it is when it meets another.
_GO = ("go to", "walk to", "visit", "reach", "try")
_TAKE = ("take", "grab", "lift", "fetch")
_PUT = ("move {0} to {1}", "put {0} on {1}", "place {0} at {1}", "leave {0} on {1}")
_EDIT = ("replace line {0} with: {1}", "change line {0} to: {1}", "write line {0}: {1}", "line {0} becomes: {1}")
_FINISH = ("finish()", "submit()", "done()", "end_task()")
_SUBMIT = ("submit", "hand in", "save", "finish")
_IDLE = ("look", "inventory", "wait", "listen", "help", "rest")
_CHECKS = ("run tests", "start over", "show tests", "undo")
_SAID = ("Good.", "Done.", "That worked.", "Accepted.", "Ok.")


def _goal(cast: Cast, value: str) -> str:
    return cast.phrase.format(n=cast.noun, v=value)


def _fixed(action: str, says: str = "", *, always: bool = False) -> Stage:
    return Stage(action, (action,), says=says, always=always)


def _hidden(actions: Sequence[str], way: int, names: Sequence[str], says: str, *, always: bool = True) -> Stage:
    return Stage(actions[way], tuple(actions), tuple(names), says, always)


def _one(names: Sequence[str], cast: Cast) -> str:
    """One of the names, the same for all tasks of a custom."""
    return names[(cast.style + len(names)) % len(names)]


def _some(names: Sequence[str], cast: Cast) -> tuple[str, ...]:
    """None, one or two of the names, or a made-up one: acts that lead nowhere."""
    at, count = cast.style % len(names), cast.style % 4
    return (cast.extras[5],) if count == 3 else (*names[at:], *names[:at])[:count]


def _page(cast: Cast, lines: Sequence[str], said: str) -> str:
    """A page: a heading or none, its elements, what it answered last."""
    shown = list(lines)
    if cast.style % 3 == 0:
        shown.insert(0, f'text "{cast.extras[0].capitalize()} {cast.extras[1]}"')
    if said:
        shown.insert(0 if cast.style % 2 else len(shown), f'text "{said}"')
    return "\n".join(shown)


def button(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """One of several buttons."""
    labels = [name.capitalize() for name in cast.candidates]
    role = ("button", "link")[cast.style % 2]
    others = [name.capitalize() for name in cast.extras[2 : 2 + cast.style % 3]]
    stages = (_hidden([f'click {role} "{name}"' for name in labels], ways[0], labels, draw.choice(_SAID)),)
    lines = [f'{role} "{name}"' for name in draw.sample(labels + others, len(labels + others))]
    value = lexicon.name(draw)
    return Job(
        _goal(cast, value),
        stages,
        tuple(f'click {role} "{name}"' for name in others),
        lambda at, said: _page(cast, lines, said),
        notes=False,
        end="the episode is over",
    )


def typed(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """A value to type, then one of several buttons."""
    labels = [name.capitalize() for name in cast.candidates]
    field, value = cast.extras[2].capitalize(), lexicon.name(draw)
    type_it = f'type textbox "{field}" "{value}"'
    stages = (
        _fixed(type_it, always=True),
        _hidden([f'click button "{name}"' for name in labels], ways[0], labels, draw.choice(_SAID)),
    )
    order = draw.sample(labels, len(labels))

    def look(at: int, said: str) -> str:
        box = f'textbox "{field}"' + (f' = "{value}"' if at else "")
        return _page(cast, [box, *(f'button "{name}"' for name in order)], said)

    return Job(_goal(cast, f'"{value}"'), stages, (f'click textbox "{field}"',), look, notes=False)


def listed(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """One entry of a list, then the button."""
    labels = [name.capitalize() for name in cast.candidates]
    box, send = cast.extras[2].capitalize(), cast.extras[3].capitalize()
    stages = (
        _hidden([f'select combobox "{box}" "{name}"' for name in labels], ways[0], labels, ""),
        _fixed(f'click button "{send}"', draw.choice(_SAID), always=True),
    )

    def look(at: int, said: str) -> str:
        shown = [f'option "{name}"' + (" selected" if at and i == ways[0] else "") for i, name in enumerate(labels)]
        return _page(cast, [f'combobox "{box}"', *shown, f'button "{send}"'], said)

    return Job(_goal(cast, lexicon.name(draw)), stages, (), look, notes=False)


def section(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Which section holds the thing; then the thing."""
    labels, value = [name.capitalize() for name in cast.candidates], lexicon.name(draw)
    role = ("tab", "link")[cast.style % 2]
    stages = (
        _hidden([f'click {role} "{name}"' for name in labels], ways[0], labels, ""),
        _fixed(f'click link "{value}"'),
    )

    def look(at: int, said: str) -> str:
        inner = [f'link "{value}"'] if at else []
        return _page(cast, [*(f'{role} "{name}"' for name in labels), *inner], said)

    return Job(_goal(cast, value), stages, (), look, notes=False, end="the episode is over")


def _desk(cast: Cast, said: str) -> str:
    facts = [f"{name}: {other}" for name, other in zip(cast.extras[:2], cast.extras[2:4], strict=True)]
    return "\n".join([said, *facts] if said else facts)


def argument(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """The value of one of a tool's arguments."""
    value, tool, slot = lexicon.sentence(draw, 3).rstrip("."), f"{cast.extras[0]}_{cast.noun}", cast.extras[4]
    names = cast.candidates if cast.style % 2 else tuple(name.upper() for name in cast.candidates)
    actions = [f'{tool}({cast.extras[5]}="{value}", {slot}="{name}")' for name in names]
    finish = _one(_FINISH, cast)
    stages = (_hidden(actions, ways[0], names, draw.choice(_SAID)), _fixed(finish, "Done.", always=True))
    return Job(
        _goal(cast, f'"{value}"'), stages, (f"list_{cast.noun}()",), lambda at, said: _desk(cast, said), notes=True
    )


def tool(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """One of several tools."""
    value, finish = lexicon.name(draw), _one(_FINISH, cast)
    actions = [f'{name}_{cast.noun}("{value}")' for name in cast.candidates]
    stages = (_hidden(actions, ways[0], cast.candidates, draw.choice(_SAID)), _fixed(finish, "Done.", always=True))
    return Job(
        _goal(cast, f'"{value}"'), stages, (f"list_{cast.noun}()",), lambda at, said: _desk(cast, said), notes=True
    )


def folder(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """The folder that something goes to."""
    value, finish = lexicon.word(draw), _one(_FINISH, cast)
    names = [f"/{name}" for name in cast.candidates]
    actions = [f'{cast.extras[0]}_file(name="{value}", folder="{name}")' for name in names]
    stages = (_hidden(actions, ways[0], names, draw.choice(_SAID)), _fixed(finish, "Done.", always=True))
    facts = f"Folders: {' '.join(draw.sample(names, len(names)))}"
    return Job(
        _goal(cast, f'"{value}"'),
        stages,
        ("list_files()",),
        lambda at, said: f"{said}\n{facts}" if said else facts,
        notes=True,
    )


def _room(said: str, where: str, held: str) -> str:
    return f"{said}\nYou are at {where}. You carry {held or 'nothing'}."


def place(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Where a thing is kept; then bring it."""
    places, thing, goal = [f"{name} 1" for name in cast.candidates], cast.noun, f"{cast.extras[0]} 1"
    there = places[ways[0]]
    go, take, put = _one(_GO, cast), _one(_TAKE, cast), _one(_PUT, cast)
    stages = (
        _hidden([f"{go} {name}" for name in places], ways[0], places, f"At {there}: a {thing} 1."),
        _fixed(f"{take} {thing} 1 from {there}", f"You take {thing} 1."),
        _fixed(f"{go} {goal}", f"At {goal}: nothing.", always=True),
        _fixed(put.format(f"{thing} 1", goal), f"You put {thing} 1 on {goal}."),
    )
    around = f"Around you: {', '.join(draw.sample([*places, goal], len(places) + 1))}."
    wheres = ("the middle of the room", there, there, goal)
    return Job(
        _goal(cast, cast.extras[0]),
        stages,
        _some(_IDLE, cast),
        lambda at, said: _room(said or around, wheres[at], f"{thing} 1" if at >= 2 else ""),
        notes=True,
    )


def utensil(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """What something is done with."""
    names, thing, verb = [f"{name} 1" for name in cast.candidates], f"{cast.noun} 1", cast.extras[0]
    actions = [f"{verb} {thing} with {name}" for name in names]
    stages = (
        _fixed(f"{_one(_TAKE, cast)} {thing}", f"You take {thing}."),
        _hidden(actions, ways[0], names, f"You {verb} {thing} with {names[ways[0]]}.", always=False),
    )
    around = f"Around you: {', '.join(draw.sample([*names, thing], len(names) + 1))}."
    return Job(
        cast.phrase.format(n=cast.noun, v=verb),
        stages,
        _some(_IDLE, cast),
        lambda at, said: _room(said or around, "the middle of the room", thing if at else ""),
        notes=True,
    )


def repair(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Which call a project wants in a line of a program."""
    variable, name = draw.choice("abcnxyk"), lexicon.word(draw)
    number = draw.randint(2, 3)
    calls = list(cast.candidates)
    edit = _one(_EDIT, cast)
    actions = [edit.format(number, f"{variable} = {call}({variable})") for call in calls]
    stages = (
        _hidden(actions, ways[0], calls, "The source is changed."),
        _fixed(_one(_SUBMIT, cast), "Submitted.", always=True),
    )
    body = [f"def {name}({variable}):", "    " + f"{variable} = {cast.extras[0]}({variable})", f"    return {variable}"]
    if number == 3:
        body.insert(1, f"    {variable} = {variable} + 1")

    def look(at: int, said: str) -> str:
        lines = list(body)
        if at:
            lines[number - 1] = f"    {variable} = {calls[ways[0]]}({variable})"
        source = "\n".join(f"  {index} | {text}" for index, text in enumerate(lines, start=1))
        return f"The source now:\n{source}\n\n{said}".rstrip()

    return Job(_goal(cast, name), stages, _some(_CHECKS, cast), look, notes=True)


def menu(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """An entry of a menu, then its confirmation: held out."""
    labels, yes = [name.capitalize() for name in cast.candidates], cast.extras[3].capitalize()
    stages = (
        _hidden([f'click menuitem "{name}"' for name in labels], ways[0], labels, "", always=False),
        _fixed(f'click button "{yes}"', draw.choice(_SAID)),
    )

    def look(at: int, said: str) -> str:
        lines = [f'button "{yes}"'] if at else [f'menuitem "{name}"' for name in labels]
        return _page(cast, lines, said)

    value = lexicon.name(draw)
    return Job(f"{_goal(cast, value)} {yes} ends it.", stages, (), look, notes=False)


def two(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Two tools with a hidden argument each, one after the other: held out."""
    value = lexicon.name(draw)
    first = [f'register("{value}", desk="{name}")' for name in cast.candidates]
    second = [f'inform("{value}", by="{name}")' for name in cast.candidates]
    stages = (
        _hidden(first, ways[0], cast.candidates, "Registered."),
        _hidden(second, ways[1], cast.candidates, "Informed."),
        _fixed("close()", "Done.", always=True),
    )
    return Job(_goal(cast, value), stages, (), lambda at, said: _desk(cast, said), notes=True)


def container(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Which box to open: held out."""
    places, thing = [f"{name} 1" for name in cast.candidates], f"{cast.noun} 1"
    there = places[ways[0]]
    stages = (
        _hidden([f"open {name}" for name in places], ways[0], places, f"In {there}: a {thing}."),
        _fixed(f"open {thing} from {there}", f"You have {thing}."),
    )
    around = f"You see: {', '.join(draw.sample(places, len(places)))}."
    return Job(
        cast.phrase.format(n=cast.noun, v=cast.extras[0]),
        stages,
        ("look",),
        lambda at, said: _room(said or around, "the hall", ""),
        notes=True,
    )


def module(draw: random.Random, lexicon: Lexicon, cast: Cast, ways: Sequence[int]) -> Job:
    """Which module a project imports: held out."""
    names, name = list(cast.candidates), lexicon.word(draw)
    actions = [f"insert line 1: import {one}" for one in names]
    stages = (_hidden(actions, ways[0], names, "The source is changed."), _fixed("submit", "Submitted.", always=True))

    def look(at: int, said: str) -> str:
        lines = [f"import {names[ways[0]]}"] if at else []
        lines += [f"def {name}():", f"    return {cast.extras[0]}()"]
        source = "\n".join(f"  {index} | {text}" for index, text in enumerate(lines, start=1))
        return f"The source now:\n{source}\n\n{said}".rstrip()

    return Job(_goal(cast, name), stages, ("run tests",), look, notes=True)


KINDS = {
    kind.key: kind
    for kind in (
        Kind("button", False, button),
        Kind("typed", False, typed),
        Kind("listed", False, listed),
        Kind("section", False, section),
        Kind("argument", False, argument),
        Kind("tool", False, tool),
        Kind("folder", False, folder),
        Kind("place", False, place),
        Kind("utensil", False, utensil),
        Kind("repair", False, repair),
        Kind("menu", True, menu),
        Kind("two", True, two, hidden=2),
        Kind("container", True, container),
        Kind("module", True, module),
    )
}
TRAIN_KINDS = tuple(key for key, kind in KINDS.items() if not kind.held)
HELD_KINDS = tuple(key for key, kind in KINDS.items() if kind.held)
