"""The suite `textworld`: cook what the cookbook says, in a house made from a seed."""

from collections.abc import Sequence
from pathlib import Path

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import JSON, Action, Observation, Split, StepResult, Task
from wisen.environments.tasks import checked_task, seeds
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


class TextWorldEnvironment:
    """Actions are the texts that an observation lists. Each step's reward is what it added to the score, divided by the
    game's maximum; `info` has both as they are. Blocks while TextWorld works."""

    def __init__(self, version: str, cache: Path) -> None:
        self._version, self._cache = version, cache
        self._game: CookingGame | None = None
        self._steps = self._max_steps = 0
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        """Start the task's game; the first time it is made, which takes seconds."""
        if self._closed:
            raise EnvironmentFault("the environment is closed", "make a new one with the suite's create()")
        checked_task(task, SUITE, self._version)
        self._put_away()
        path, _ = game_file(task.params["settings"], task.seed, self._cache)
        self._game = CookingGame(path)
        self._steps, self._max_steps = 0, int(task.params["max_steps"])
        return _observed(self._game)

    async def step(self, action: Action) -> StepResult:
        game = self._game
        if game is None:
            raise EnvironmentFault("no episode is running", "reset the environment with a task first")
        command, admissible = command_of(action), game.commands
        if command not in admissible:
            note = refusal(action, admissible)
            return self._result(game, 0.0, _observed(game, note), {"note": note})
        before = game.score
        game.step(command)
        info = {"note": " ".join(game.text.split())[:600]}
        return self._result(game, (game.score - before) / max(1, game.max_score), _observed(game), info)

    async def close(self) -> None:
        self._closed = True
        self._put_away()

    def _result(self, game: CookingGame, reward: float, observation: Observation, info: JSON) -> StepResult:
        self._steps += 1
        over = game.won or game.lost
        truncated = not over and self._steps >= self._max_steps
        if over or truncated:
            self._put_away()
        return StepResult(
            observation=observation,
            reward=reward,
            terminated=over,
            truncated=truncated,
            info={**info, "score": game.score, "max_score": game.max_score},
            success=game.won if over else False if truncated else None,
        )

    def _put_away(self) -> None:
        game, self._game = self._game, None
        if game is not None:
            game.close()


def _observed(game: CookingGame, note: str = "") -> Observation:
    return Observation(
        instruction=game.objective,
        text=f"{note or game.text}\n\n{game.place_and_hands}",
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
