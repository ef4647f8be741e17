"""Houses of our own, in which ALFWorld's household rules hold (Shridhar et al. 2021, arXiv 2010.03768): what there is,
what may be done and what it does, and when an errand is done. Pure: no clock, no chance but the seed's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

# Receptacles of a room: kind -> how many, from and to.
ROOMS: dict[str, dict[str, tuple[int, int]]] = {
    "kitchen": {
        "cabinet": (4, 8), "countertop": (1, 3), "diningtable": (0, 1), "drawer": (2, 5), "fridge": (1, 1),
        "garbagecan": (1, 1), "microwave": (1, 1), "shelf": (0, 3), "sinkbasin": (1, 1), "stoveburner": (2, 4),
    },
    "living room": {
        "armchair": (1, 2), "coffeetable": (1, 2), "drawer": (1, 4), "dresser": (1, 1), "garbagecan": (1, 1),
        "shelf": (1, 4), "sidetable": (1, 2), "sofa": (1, 1), "tvstand": (1, 1),
    },
    "bedroom": {
        "bed": (1, 1), "desk": (1, 2), "drawer": (2, 6), "dresser": (0, 1), "garbagecan": (1, 1),
        "laundryhamper": (1, 1), "shelf": (2, 5), "sidetable": (1, 2),
    },
    "bathroom": {
        "bathtubbasin": (1, 1), "cabinet": (2, 4), "countertop": (1, 2), "drawer": (1, 3), "garbagecan": (1, 1),
        "shelf": (1, 2), "sinkbasin": (1, 2), "toilet": (1, 1),
    },
}  # fmt: skip
OPENABLE = frozenset({"cabinet", "drawer", "fridge", "laundryhamper", "microwave"})
TABLES = frozenset({"coffeetable", "countertop", "desk", "diningtable", "dresser", "shelf", "sidetable", "tvstand"})
COLD, SINK, HEAT = frozenset({"fridge"}), frozenset({"sinkbasin"}), frozenset({"microwave"})
STORES = frozenset({"cabinet", "drawer"})
BIN, SEATS = frozenset({"garbagecan"}), frozenset({"armchair", "bed", "sofa"})
BATH = frozenset({"bathtubbasin", "toilet"})


@dataclass(frozen=True)
class Kind:
    """What a kind of thing is and may be put on. `does` holds of: clean, heat, cool, slice, blade, lamp."""

    rooms: frozenset[str]
    places: frozenset[str]
    does: frozenset[str]


def _kind(rooms: str, places: frozenset[str], does: str = "") -> Kind:
    names = {"k": "kitchen", "l": "living room", "b": "bedroom", "w": "bathroom"}
    return Kind(frozenset(names[letter] for letter in rooms), places, frozenset(does.split()))


_FOOD, _DISH = TABLES | COLD | SINK | HEAT | BIN, TABLES | STORES | SINK | HEAT | COLD
_TOOL, _SMALL = TABLES | SINK | {"drawer"}, TABLES | SEATS | BIN | {"drawer"}
KINDS: dict[str, Kind] = {
    "apple": _kind("k", _FOOD, "clean heat cool slice"),
    "bread": _kind("k", _FOOD - SINK, "heat cool slice"),
    "egg": _kind("k", _FOOD, "clean heat cool"),
    "lettuce": _kind("k", _FOOD - HEAT, "clean cool slice"),
    "potato": _kind("k", _FOOD, "clean heat cool slice"),
    "tomato": _kind("k", _FOOD, "clean heat cool slice"),
    "bowl": _kind("k", _DISH - HEAT, "clean cool"),
    "cup": _kind("k", _DISH, "clean heat cool"),
    "mug": _kind("kb", _DISH, "clean heat cool"),
    "plate": _kind("k", _DISH, "clean heat cool"),
    "pan": _kind("k", TABLES | SINK | COLD | {"cabinet", "stoveburner"}, "clean cool"),
    "pot": _kind("k", TABLES | SINK | COLD | {"cabinet", "stoveburner"}, "clean cool"),
    "kettle": _kind("k", TABLES | SINK | {"cabinet", "stoveburner"}, "clean"),
    "butterknife": _kind("k", _TOOL, "clean blade"),
    "fork": _kind("k", _TOOL, "clean"),
    "knife": _kind("k", _TOOL, "clean blade"),
    "ladle": _kind("k", _TOOL, "clean"),
    "spatula": _kind("k", _TOOL, "clean"),
    "spoon": _kind("k", _TOOL, "clean"),
    "dishsponge": _kind("kw", _TOOL | BIN | {"cabinet"}, "clean"),
    "peppershaker": _kind("k", TABLES | STORES),
    "saltshaker": _kind("k", TABLES | STORES),
    "winebottle": _kind("k", TABLES | COLD | BIN | {"cabinet"}, "cool"),
    "cloth": _kind("w", STORES | SINK | BATH | TABLES | BIN | {"laundryhamper"}, "clean"),
    "soapbar": _kind("w", STORES | SINK | BATH | TABLES | BIN, "clean"),
    "soapbottle": _kind("wk", STORES | SINK | BATH | TABLES | BIN),
    "spraybottle": _kind("w", STORES | TABLES | BIN | {"toilet"}),
    "toiletpaper": _kind("w", STORES | TABLES | BIN | {"toilet"}),
    "candle": _kind("w", STORES | TABLES | BATH),
    "alarmclock": _kind("b", TABLES),
    "book": _kind("bl", TABLES | SEATS | {"drawer"}),
    "cd": _kind("b", TABLES | BIN | {"drawer"}),
    "cellphone": _kind("bl", TABLES | SEATS | {"drawer"}),
    "creditcard": _kind("bl", _SMALL - BIN),
    "keychain": _kind("bl", _SMALL - BIN),
    "laptop": _kind("bl", TABLES | SEATS),
    "newspaper": _kind("l", _SMALL),
    "pen": _kind("b", _SMALL - SEATS),
    "pencil": _kind("b", _SMALL - SEATS),
    "pillow": _kind("bl", SEATS),
    "remotecontrol": _kind("l", _SMALL - BIN),
    "statue": _kind("l", TABLES),
    "tissuebox": _kind("bl", _SMALL),
    "vase": _kind("l", TABLES),
    "watch": _kind("bl", _SMALL - BIN),
    "desklamp": _kind("bl", frozenset({"desk", "sidetable"}), "lamp"),
}
# The six kinds of errand: what a thing must become (a state that an act gives), and how many of it.
ERRANDS = {"put": "", "clean": "clean", "heat": "heat", "cool": "cool", "two": "", "light": "lamp"}
STATE = {"clean": "clean", "heat": "hot", "cool": "cool"}
TOOL = {"clean": "sinkbasin", "heat": "microwave", "cool": "fridge"}


@dataclass
class House:
    """`places`: receptacle -> its kind, in the order of the rooms' table. `where`: thing -> receptacle; what is held is
    in none. `states`: thing -> of clean, hot, cool, sliced, on."""

    room: str
    errand: str
    target: str  # kind of thing
    goal: str  # kind of receptacle; empty where the errand is to look at it in the light
    places: dict[str, str] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    where: dict[str, str] = field(default_factory=dict)
    states: dict[str, set[str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    at: str = ""
    held: str = ""

    def can_reach_into(self, place: str) -> bool:
        return self.places[place] not in OPENABLE or place in self.open

    def inside(self, place: str) -> list[str]:
        return sorted(thing for thing, there in self.where.items() if there == place)

    def does(self, thing: str) -> frozenset[str]:
        return KINDS[self.kinds[thing]].does

    @property
    def done(self) -> bool:
        """Whether the errand is."""
        right = [thing for thing, kind in self.kinds.items() if kind == self.target]
        if self.errand == "light":
            lit = any("on" in self.states[thing] for thing in self.inside(self.at) if "lamp" in self.does(thing))
            return self.held in right and lit
        if state := STATE.get(self.errand):
            right = [thing for thing in right if state in self.states[thing]]
        there = [self.where[thing] for thing in right if self.places.get(self.where.get(thing, "")) == self.goal]
        return any(there.count(place) >= (2 if self.errand == "two" else 1) for place in there)


def build(errand: str, seed: int) -> House:
    """A house in which the errand can be done and is not done yet."""
    draw = random.Random(f"{errand}/{seed}")
    needed = TOOL.get(errand, "")
    rooms = [room for room, kinds in ROOMS.items() if not needed or needed in kinds]
    if errand == "light":
        rooms = sorted(KINDS["desklamp"].rooms)
    room = draw.choice(rooms)
    places = {f"{kind} {n + 1}": kind for kind, span in ROOMS[room].items() for n in range(draw.randint(*span))}
    present = set(places.values())
    fitting = {
        name: sorted((kind.places & present) - {needed})
        for name, kind in KINDS.items()
        if room in kind.rooms and "lamp" not in kind.does and (not needed or errand in kind.does)
    }
    target = draw.choice(sorted(name for name, goals in fitting.items() if len(goals) > 1))
    goal = "" if errand == "light" else draw.choice(fitting[target])
    house = House(room, errand, target, goal, places)
    others = [name for name, kind in KINDS.items() if room in kind.rooms and name != target and "lamp" not in kind.does]
    count = draw.randint(2, 3) if errand == "two" else draw.randint(1, 2)
    beside = [name for name in draw.sample(others, min(len(others), 8)) for _ in range(draw.randint(1, 2))]
    things = [target] * count + beside
    if errand == "light" or room in KINDS["desklamp"].rooms:
        things.append("desklamp")
    numbers: dict[str, int] = {}
    for name in things:
        fit = KINDS[name].places - ({goal} if name == target else set())
        spots = [spot for spot, kind in places.items() if kind in fit]
        numbers[name] = numbers.get(name, 0) + 1
        thing = f"{name} {numbers[name]}"
        house.kinds[thing], house.states[thing], house.where[thing] = name, set(), draw.choice(spots)
    return house


def moves(house: House) -> Iterator[str]:
    """Everything that may be done now."""
    yield "inventory"
    yield "look"
    for place in house.places:
        if place != house.at:
            yield f"go to {place}"
    here, held = house.at, house.held
    if held:
        yield f"examine {held}"
    if not here:
        return
    kind = house.places[here]
    yield f"examine {here}"
    if kind in OPENABLE:
        yield f"close {here}" if here in house.open else f"open {here}"
    if held:
        if house.can_reach_into(here) and kind in KINDS[house.kinds[held]].places:
            yield f"move {held} to {here}"
        for act, tool in TOOL.items():
            if kind == tool and act in house.does(held):
                yield f"{act} {held} with {here}"
    if house.can_reach_into(here):
        for thing in house.inside(here):
            does = house.does(thing)
            yield f"examine {thing}"
            if "lamp" in does:
                yield f"use {thing}"
            elif not held:
                yield f"take {thing} from {here}"
            if "slice" in does and held and "blade" in house.does(held):
                yield f"slice {thing} with {held}"


def act(house: House, move: str) -> str:
    """Do one of `moves`, and say what is seen."""
    verb, _, rest = move.partition(" ")
    first, _, second = rest.replace(" from ", "|").replace(" to ", "|").replace(" with ", "|").partition("|")
    match verb:
        case "look":
            return around(house)
        case "inventory":
            return f"You carry {_a(house.held)}." if house.held else "You carry nothing."
        case "go":
            house.at = rest.removeprefix("to ")
            return f"You go to {house.at}. {contents(house, house.at)}"
        case "open":
            house.open.add(first)
            return f"You open {first}. {contents(house, first)}"
        case "close":
            house.open.discard(first)
            return f"You close {first}."
        case "take":
            del house.where[first]
            house.held = first
            return f"You take {first} from {second}."
        case "move":
            house.where[first], house.held = second, ""
            return f"You put {first} in or on {second}."
        case "use":
            house.states[first].add("on")  # as in ALFWorld: once it was used it counts as lit
            return f"You switch {first} on."
        case "slice":
            house.states[first].add("sliced")
            return f"You slice {first} with {second}."
        case "clean" | "heat" | "cool":
            house.states[first] -= {"hot", "cool"} if verb != "clean" else set()
            house.states[first].add(STATE[verb])
            return f"You {verb} {first} with {second}."
        case _:
            return contents(house, rest) if rest in house.places else _thing(house, rest)


def around(house: House) -> str:
    if house.at:
        return f"You stand at {house.at}. {contents(house, house.at)}"
    return f"You are in the middle of a {house.room}. Around you: {', '.join(house.places)}."


def contents(house: House, place: str) -> str:
    if not house.can_reach_into(place):
        return f"{place} is closed."
    things = ", ".join(_a(thing) for thing in house.inside(place)) or "nothing"
    return f"{place} is open; in it: {things}." if house.places[place] in OPENABLE else f"On {place}: {things}."


def _thing(house: House, thing: str) -> str:
    states = " and ".join(sorted(house.states[thing]))
    return f"{thing} is {states}." if states else f"There is nothing special about {thing}."


def _a(thing: str) -> str:
    return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"
