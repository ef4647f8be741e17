"""What the table of methods is made of: the methods, the suites, and the streams of tasks that they are played on."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wisen.core.errors import SettingsError
from wisen.core.ids import content_id, derived_seed
from wisen.core.protocols import Suite
from wisen.core.records import Split, Task
from wisen.environments import registry
from wisen.memory.recall import RecallSettings
from wisen.trainers.sprout.kinds import HELD_KINDS
from wisen.trainers.sprout.pages import HELD_PAGES
from wisen.trainers.sprout.playing import GeneratedSuite

ROUNDS = 6  # how often a stream comes back to each place
NONE = "none"

_FOUR = {"k": 4, "max_tokens": 1600}  # as Memento recalls
_ANY = {"ranker": "random", "candidates": 100_000, "floor": -1.0, "recording_floor": -1.0}


@dataclass(frozen=True)
class Method:
    """Who writes the items, and how they are recalled. randomised: each task of a wave is played once more with items
    held out at random, for the retrieval head alone."""

    distiller: str
    recall: RecallSettings = field(default_factory=RecallSettings)
    randomised: bool = False


RULED: Mapping[str, Method] = {
    "extractive": Method("extractive"),
    "workflows": Method("workflows"),
    "cases": Method("cases", RecallSettings.model_validate(_FOUR)),
    "cases-parametric": Method(
        "cases",
        RecallSettings.model_validate(_FOUR | {"ranker": "parametric", "arm_propensity": 1.0}),
        randomised=True,
    ),
    "raw": Method("raw"),
    "random": Method("extractive", RecallSettings.model_validate(_ANY)),
}
WRITTEN: Mapping[str, Method] = {
    name: Method(name)
    for name in (
        "reasoningbank",
        "matts",
        "awm",
        "expel",
        "ace",
        "cheatsheet",
        "concepts",
        "subtasks",
        "conditions",
    )
}
METHODS: Mapping[str, Method] = RULED | WRITTEN

SUITES: Mapping[str, tuple[Callable[[int], Suite], int]] = {  # made for a seed; actions at most
    "generated": (lambda seed: GeneratedSuite(seed, kinds=(*HELD_KINDS, *HELD_PAGES)), 12),
    "office": (lambda seed: registry.create("office", organisations=[seed]), 30),
    "household": (lambda seed: registry.create("household"), 30),
    "code-repair": (lambda seed: registry.create("code-repair"), 12),
    "miniwob": (lambda seed: registry.create("miniwob", families="demo"), 10),
}


@dataclass(frozen=True)
class Cell:
    """All that decides what a cell holds, beside the code. agent: who acts, with a digest of its weights. writer: who
    writes items, empty for a method that needs nobody."""

    suite: str
    method: str
    seed: int
    shuffled: bool
    tasks: int
    agent: str
    writer: str = ""
    leakage: str = "task"

    @property
    def order(self) -> str:
        return "shuffled" if self.shuffled else "default"

    @property
    def file(self) -> str:
        return f"{self.suite}-{self.method}-{self.seed}-{self.order}-{content_id('cell', vars(self))[5:13]}.json"


def stream(suite: Suite, name: str, seed: int, count: int, shuffled: bool) -> list[Task]:
    """`count` tasks at as few places of the suite as hold them, drawn by the seed, `ROUNDS` at each. Default order:
    round by round, in each round every place once. Both orders hold the same tasks. Raises `SettingsError` where the
    suite has fewer."""
    rounds: dict[str, list[Task]] = {}
    for task in suite.tasks(Split.LEARN, ROUNDS, offset=1000 * seed):
        rounds.setdefault(place_of(task), []).append(task)
    places = sorted(rounds)
    random.Random(derived_seed("places", name, seed)).shuffle(places)
    chosen: list[str] = []
    while places and sum(len(rounds[place]) for place in chosen) < count:
        chosen.append(places.pop(0))
    tasks = [rounds[place][number] for number in range(ROUNDS) for place in chosen if number < len(rounds[place])]
    if len(tasks) < count:
        raise SettingsError(f"{name} has {len(tasks)} tasks for a stream, not {count}", f"ask for --tasks {len(tasks)}")
    tasks = tasks[:count]
    if shuffled:
        random.Random(derived_seed("order", name, seed)).shuffle(tasks)
    return tasks


def place_of(task: Task) -> str:
    """What tasks have in common from which one could learn for another: the function to repair, where a generated
    errand is done, else the template."""
    function = task.params.get("function")
    return function or f"{task.template_id} {task.params.get('place', '')}"
