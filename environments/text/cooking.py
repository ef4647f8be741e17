"""TextWorld's cooking games (Côté et al. 2018, arXiv 1806.11532): made from a seed, kept in a cache, played.

TextWorld holds global random state and blocks while it works: use it in a process of its own.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wisen.core.errors import EnvironmentFault
from wisen.core.records import JSON

# What a level asks for. recipe: ingredients; take: how many of them lie elsewhere; go: rooms; open: closed containers
# and doors; cook, cut: the ingredients need it; drop: hands hold only so much.
LEVELS: dict[str, JSON] = {
    "fetch": {"recipe": 1, "take": 1, "go": 1, "open": True},
    "cook": {"recipe": 1, "take": 1, "go": 1, "open": True, "cook": True},
    "cook-and-cut": {"recipe": 1, "take": 1, "go": 1, "open": True, "cook": True, "cut": True},
    "house": {"recipe": 1, "take": 1, "go": 6, "open": True, "cook": True, "cut": True},
    "dinner": {"recipe": 2, "take": 2, "go": 6, "open": True, "cook": True, "cut": True},
}
PLAIN: JSON = {
    "recipe": 1, "take": 0, "go": 1, "open": False, "cook": False, "cut": False, "drop": False,
    "recipe_seed": 0, "split": None,
}  # fmt: skip
TRIES = 5  # of making a game of a seed, each with another
APART = 10_000_000  # between them: outside all splits
PROMPT = re.compile(r"\n>\s+-= [^\n]* =-\s*-?\d+/\d+\s*$")  # the status line after the game's prompt


def game_file(settings: JSON, seed: int, cache: Path) -> tuple[Path, int]:
    """(the game of these settings and seed, the seed that it was made with): from the cache, or made now (2 to 5 s on
    a quiet machine, 0.5 MB). Whole games only ever appear there, and of two that are made at once one is kept.
    Raises `EnvironmentFault` where none can be made."""
    spelled = "-".join(f"{key}{int(value)}" for key, value in sorted(settings.items()) if isinstance(value, int))
    folder = cache / f"{spelled}{settings.get('split') or ''}" / str(seed)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
        try:
            used = _make(settings, seed, making / "game.z8")
            (making / "game.ni").unlink(missing_ok=True)
            (making / "made.json").write_text(json.dumps({"seed": used}))
            with contextlib.suppress(OSError):  # another process was first
                making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder / "game.z8", json.loads((folder / "made.json").read_text())["seed"]


def _make(settings: JSON, seed: int, path: Path) -> int:
    from textworld import GameOptions
    from textworld.challenges.tw_cooking import cooking
    from textworld.generator import CouldNotCompileGameError, QuestGenerationError, compile_game

    problem: Exception | None = None
    for used in range(seed, seed + TRIES * APART, APART):
        options = GameOptions()
        options.seeds, options.path, options.force_recompile = used, str(path), True
        try:
            game = cooking.make({**PLAIN, **settings}, options)
            compile_game(game, options)
        except (CouldNotCompileGameError, QuestGenerationError, ValueError) as error:
            problem = error
        else:
            return used
    raise EnvironmentFault(f"TextWorld makes no game of seed {seed} and {settings}: {problem}") from problem


class CookingGame:
    """One game in play. `text` is what it said last, `commands` what may be said now (sorted)."""

    def __init__(self, path: Path, *, policy: bool = False) -> None:
        import textworld

        wanted = textworld.EnvInfos(
            admissible_commands=True, feedback=True, objective=True, won=True, lost=True, score=True, max_score=True,
            game=True, policy_commands=policy,
        )  # fmt: skip
        if not os.path.exists(path):
            raise EnvironmentFault(f"the game {path} is gone", "it is made again at the next start")
        self._env = textworld.start(str(path), wanted)
        self._state: Any = self._env.reset()
        _remember(self._state["_game_progression"].state, self._env._inform7)
        self.objective = str(self._state.objective)
        self.text = clean(str(self._state.feedback).partition(self.objective)[2])

    def step(self, command: str) -> None:
        self._state, _, _ = self._env.step(command)
        self.text = clean(str(self._state.feedback))

    def close(self) -> None:
        self._env.close()

    @property
    def commands(self) -> tuple[str, ...]:
        return () if self.won or self.lost else tuple(self._state.admissible_commands)

    @property
    def policy(self) -> tuple[str, ...]:
        """What a planner would do from here to the end: for oracles."""
        return tuple(self._state.policy_commands)

    @property
    def won(self) -> bool:
        return bool(self._state.won)

    @property
    def lost(self) -> bool:
        return bool(self._state.lost)

    @property
    def score(self) -> int:
        return int(self._state.score)

    @property
    def max_score(self) -> int:
        return int(self._state.max_score)

    @property
    def place_and_hands(self) -> str:
        """Where the player is and what it carries, which the game itself says only when asked."""
        names = self._state.game.infos
        room, hands = "", []
        for fact in self._state["_facts"]:
            if fact.name == "at" and fact.arguments[0].type == "P":
                room = names[fact.arguments[1].name].name
            elif fact.name == "in" and fact.arguments[1].type == "I":
                hands.append(names[fact.arguments[0].name].name)
        return f'You are in the "{room}". You carry: {", ".join(sorted(hands)) or "nothing"}.'


def _remember(world: Any, names: Any) -> None:
    """Let TextWorld not look for what it has found before: the actions that some facts allow, and the names in an
    action. Looking changes nothing, what was undone comes again, and what an act changes is of no matter for half of
    the rules. The search takes as long as all else that is not the game's own machine."""
    search: Callable[..., Iterable[Any]] = world.all_instantiations
    known: dict[frozenset[Any], tuple[Any, ...]] = {}
    of_rule: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    @functools.cache
    def asked(rule: Any) -> tuple[str, ...]:
        """The kinds of facts that a rule asks for."""
        return tuple(sorted({wanted.name for wanted in rule.preconditions}))

    @functools.cache
    def bound(rule: Any) -> bool:
        """Whether these are all that it depends on."""
        return set(rule.placeholders) <= {thing for wanted in rule.preconditions for thing in wanted.parameters}

    def actions(rules: Iterable[Any], constants: Any) -> tuple[Any, ...]:
        facts = frozenset(world.facts)
        if facts not in known:
            by_kind: dict[str, set[Any]] = defaultdict(set)
            for fact in facts:
                by_kind[fact.name].add(fact)
            kinds = {kind: frozenset(found) for kind, found in by_kind.items()}
            found: list[Any] = []
            for rule in rules:
                key = (rule.name, *(kinds.get(kind) for kind in asked(rule)))
                if key not in of_rule or not bound(rule):
                    of_rule[key] = tuple(search(rule, constants))
                found += of_rule[key]
            known[facts] = tuple(found)
        return known[facts]

    world.all_applicable_actions = actions
    names._get_name_mapping = functools.cache(names._get_name_mapping)


def clean(feedback: str) -> str:
    """What the game said without its prompt, its status line and runs of blank lines."""
    said = PROMPT.sub("", feedback).partition("Would you like to RESTART")[0]
    lines = [line.strip() if "***" in line else line.rstrip() for line in said.strip().splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))
