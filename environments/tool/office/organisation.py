"""What stays the same in an organisation: its name, staff, goods and folders, all from its seed."""

import random
from dataclasses import dataclass
from functools import cache

from wisen.core.ids import derived_seed
from wisen.environments.tool.office.conventions import VARIANTS, Conventions, conventions_of

_NAMES = (
    "Abelard Brandis Corvell Dunmore Elwood Farley Garnet Holloway Iverson Jardine Kestrel Lambert Merriton Northam "
    "Oakes Pembrook Quennell Redfern Sandell Thornby Ullman Varley Westcott Yardley Zeller Ashdown Birchall Calloway "
    "Danvers Eastman Fairfax"
).split()
_TRADES = "Tools Lamps Paper Boats Seeds Clocks Maps Tents Inks Pumps Bricks Bikes Teas".split()
_TOWNS = (
    "Lund Ghent Turku Porto Graz Cork Basel Delft Bergen Lille Siena Riga Malmo Trento Leuven Aarhus Girona".split()
)
_STAFF = (
    "Mira Tomas Ines Jonas Petra Oskar Leila Henrik Sofia Marek Dana Erik Nora Paulo Vera Anton Clara Felix Greta Hugo"
).split()
_CUSTOMERS = (
    "Ada Berg,Bo Lindt,Cleo Marsh,Dan Ortiz,Eva Holm,Finn Daly,Gina Rossi,Hal Byrne,Ida Novak,Jan Kok,Kim Ferro,"
    "Lea Simon,Max Adler,Nia Evans,Otto Lang,Pia Sand"
).split(",")
_GOODS = (
    "desk lamp,oak chair,paper tray,wall clock,steel shelf,door mat,tool box,garden hose,tea kettle,bike pump,"
    "wool blanket,camp stove,rain barrel,hand saw,map case,ink set"
).split(",")
ROLES = ("finance", "operations", "office manager", "sales", "service", "warehouse")
DESK = "/desk"
FOLDERS = VARIANTS["folder"]


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: str
    address: str


@dataclass(frozen=True, slots=True)
class Organisation:
    """`code` stands in references. `goods` and `customers` are the names that its tasks draw from."""

    seed: int
    name: str
    town: str
    code: str
    staff: tuple[Person, ...]
    goods: tuple[str, ...]
    customers: tuple[tuple[str, str], ...]

    def by_role(self, role: str) -> Person:
        return next(person for person in self.staff if person.role == role)

    def by_name(self, name: str) -> Person | None:
        """By first name or address, however it is capitalised."""
        wanted = name.strip().lower()
        return next((one for one in self.staff if wanted in (one.name.lower(), one.address)), None)

    @property
    def addresses(self) -> frozenset[str]:
        return frozenset(person.address for person in self.staff)


@cache
def organisation(seed: int) -> Organisation:
    """Organisation `seed`; no two of the first 6,851 share name and town."""
    draw = random.Random(derived_seed("organisation", seed))
    rest, name = divmod(seed, len(_NAMES))
    again, trade = divmod(rest + name, len(_TRADES))
    house = f"{_NAMES[name]} {_TRADES[trade]}"
    domain = f"{_NAMES[name].lower()}.example"
    people = draw.sample(_STAFF, len(ROLES))
    roles = draw.sample(ROLES, len(ROLES))
    staff = [Person(one, role, f"{one.lower()}@{domain}") for one, role in zip(people, roles, strict=True)]
    customers = [(one, f"{one.lower().replace(' ', '.')}@mail.example") for one in _CUSTOMERS]
    return Organisation(
        seed=seed,
        name=house,
        town=_TOWNS[again % len(_TOWNS)],
        code=_NAMES[name][:3].upper(),
        staff=tuple(staff),
        goods=tuple(draw.sample(_GOODS, 8)),
        customers=tuple(draw.sample(customers, 10)),
    )


def ways_of(seed: int, enforced: bool) -> Conventions | None:
    """Its conventions; None where the control is asked for, in which any way of working is fine."""
    return conventions_of(seed) if enforced else None
