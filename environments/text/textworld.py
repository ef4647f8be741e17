"""The suite `textworld`: cook what the cookbook says, in a house made from a seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import JSON, Action, Acts, Observation, Snapshot, Split, StepResult, SuiteCard, Task
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, refuse_closed, running, seeds
from wisen.environments.text.common import cache_folder, chosen, command_of, extra_version, refusal
from wisen.environments.text.cooking import LEVELS, PLAIN, CookingGame, game_file

SUITE = "textworld"
CODE = "1"  # of the tasks as made here
FOODS = {Split.LEARN: "train", Split.GATE: "valid", Split.REPORT: "test"}


class TextWorldSuite:
    """Options: `levels`, names of `cooking.LEVELS` (all, if empty). Or a level of your own by any of `recipe` (1..5
    ingredients), `take` (how many lie elsewhere), `go` (rooms: 1, 6, 9, 12), `open`, `cook`, `cut`, `drop`.
    `unseen_foods`: gate and report cook with foods and preparations that learning never sees (TextWorld's own three
    subsets). `max_steps` truncates. `cache`: a folder for games instead of the user's cache.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Cooking games in houses made from seeds: read the recipe, fetch, cut, cook.",
        licence="MIT (TextWorld); it depends on jericho, GPL-2.0",
        templates=len(LEVELS),
        acts=(Acts.CHOICE,),
        reward="0 to the game's maximum (3 to 8)",
        success="the game is won",
        max_steps=100,
        extra="text",
        snapshots=True,
    )

    def __init__(
        self,
        levels: Sequence[str] = (),
        recipe: int | None = None,
        take: int | None = None,
        go: int | None = None,
        open: bool | None = None,
        cook: bool | None = None,
        cut: bool | None = None,
        drop: bool | None = None,
        unseen_foods: bool = False,
        max_steps: int = 100,
        cache: str = "",
    ) -> None:
        own = {"recipe": recipe, "take": take, "go": go, "open": open, "cook": cook, "cut": cut, "drop": drop}
        own = {key: value for key, value in own.items() if value is not None}
        if own and levels:
            raise SettingsError(f"{SUITE}: either levels, or a level of your own by {', '.join(own)}")
        if own:
            self._levels = {_spelled(own): _checked(own)}
        else:
            self._levels = {name: LEVELS[name] for name in chosen(SUITE, "levels", levels, tuple(LEVELS))}
        if max_steps < 1:
            raise SettingsError(f"{SUITE}: max_steps = {max_steps} leaves no step")
        self._unseen_foods, self._max_steps = unseen_foods, max_steps
        self.version = f"{extra_version('textworld', 'textworld', 'text')}/{CODE}"
        folder = Path(cache).expanduser().absolute() if cache else cache_folder(SUITE)
        self._cache = folder / self.version.replace("/", "-")

    def card(self) -> SuiteCard:
        return self.about.model_copy(update={"templates": len(self._levels), "max_steps": self._max_steps})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return tuple(
            Task(
                id=f"{SUITE}/{level}{'/unseen' if self._unseen_foods else ''}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{level}",
                split=split,
                seed=seed,
                params={"settings": self._settings(settings, split), "max_steps": self._max_steps},
                version=self.version,
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for level, settings in self._levels.items()
        )

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> "TextWorldEnvironment":
        return TextWorldEnvironment(self.version, self._cache)

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> "TextWorldOracle":
        return TextWorldOracle(self._cache)

    def _settings(self, settings: JSON, split: Split) -> JSON:
        return {**settings, "split": FOODS[split]} if self._unseen_foods else settings


def _spelled(own: JSON) -> str:
    parts = [key if value is True else f"{key}-{value}" for key, value in own.items() if value is not False]
    return "-".join(parts) or "plain"


def _checked(own: JSON) -> JSON:
    merged = {**PLAIN, **own}
    wrong = [key for key, value in own.items() if type(value) is not type(PLAIN[key])]
    if wrong:
        raise SettingsError(f"{SUITE}: {', '.join(f'{key} = {own[key]!r}' for key in wrong)} is of the wrong type")
    recipe, take, go = merged["recipe"], merged["take"], merged["go"]
    if go not in (1, 6, 9, 12) or not 1 <= recipe <= 5 or not 0 <= take <= recipe:
        raise SettingsError(
            f"{SUITE}: recipe = {recipe}, take = {take}, go = {go} make no game",
            "recipe is 1 to 5, take at most recipe, go one of 1, 6, 9, 12",
        )
    return own


@dataclass(frozen=True)
class Kept:
    """What an episode is beside its task. A game is what was done in it: it is kept as its commands."""

    commands: tuple[str, ...]
    steps: int
    note: str


@dataclass
class _Episode:
    task: Task
    game: CookingGame
    commands: tuple[str, ...] = ()
    steps: int = 0
    note: str = ""  # why the last action was none


class TextWorldEnvironment:
    """Actions are the texts that an observation lists. Each step's reward is what it added to the score, divided by the
    game's maximum; `info` has both as they are. Blocks while TextWorld works. To restore an episode is to play it again
    from the start, 1 to 2 ms a step."""

    def __init__(self, version: str, cache: Path) -> None:
        self._version, self._cache = version, cache
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Start the task's game; the first time it is made, which takes seconds."""
        self._episode = _Episode(task, self._begun(task))
        return _observed(self._episode)

    async def step(self, action: Action) -> StepResult:
        episode = self._running()
        game, command = episode.game, command_of(action)
        before, admissible = game.score, game.commands
        if command in admissible:
            game.step(command)
            episode.commands, episode.note = (*episode.commands, command), ""
            info = {"note": " ".join(game.text.split())[:600]}
        else:
            episode.note = refusal(action, admissible)
            info = {"note": episode.note}
        episode.steps += 1
        over = game.won or game.lost
        truncated = not over and episode.steps >= int(episode.task.params["max_steps"])
        result = StepResult(
            observation=_observed(episode),
            reward=(game.score - before) / max(1, game.max_score),
            terminated=over,
            truncated=truncated,
            info={**info, "score": game.score, "max_score": game.max_score},
            success=game.won if over else False if truncated else None,
        )
        if over or truncated:
            self._put_away()
        return result

    async def snapshot(self) -> Snapshot:
        episode = self._running()
        return kept(episode.task, Kept(episode.commands, episode.steps, episode.note))

    async def restore(self, snapshot: Snapshot) -> Observation:
        was = opened(snapshot, Kept)
        game = self._begun(snapshot.task)
        for command in was.commands:
            game.step(command)
        self._episode = _Episode(snapshot.task, game, was.commands, was.steps, was.note)
        return _observed(self._episode)

    async def close(self) -> None:
        self._closed = True
        self._put_away()

    def _begun(self, task: Task) -> CookingGame:
        refuse_closed(self._closed)
        checked_task(task, SUITE, self._version)
        self._put_away()
        path, _ = game_file(task.params["settings"], task.seed, self._cache)
        return CookingGame(path)

    def _running(self) -> _Episode:
        return running(self._episode)

    def _put_away(self) -> None:
        episode, self._episode = self._episode, None
        if episode is not None:
            episode.game.close()


def _observed(episode: _Episode) -> Observation:
    game = episode.game
    return Observation(
        instruction=game.objective,
        text=f"{episode.note or game.text}\n\n{game.place_and_hands}",
        actions=game.commands,
    )


class TextWorldOracle:
    """Asks TextWorld's planner. For tests only."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        return [Action(text=command) for command in self._walk(task)]

    def secrets(self, task: Task) -> tuple[str, ...]:
        """The way to the end, as text and as data."""
        commands = self._walk(task)
        return ", ".join(commands), str(commands), "policy_commands"

    def _walk(self, task: Task) -> list[str]:
        path, _ = game_file(task.params["settings"], task.seed, self._cache)
        game = CookingGame(path, policy=True)
        commands: list[str] = []
        try:
            while not game.won and game.policy and len(commands) < 500:
                commands.append(game.policy[0])
                game.step(commands[-1])
        finally:
            game.close()
        return commands
