"""The suite `reasoning-gym`: puzzles of many kinds, one answer each (Stojanovski et al. 2025, arXiv 2505.24760)."""

import asyncio
import logging
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import JSON, Action, Acts, Observation, Snapshot, Split, StepResult, SuiteCard, Task, ToolSpec
from wisen.environments.snapshots import kept, opened
from wisen.environments.tasks import checked_task, refuse_closed, running, seeds
from wisen.environments.text.common import chosen, extra_version

SUITE = "reasoning-gym"
CODE = "1"  # of the tasks as made here
LONGEST_ANSWER = 10_000  # characters
TRIES = 10  # actions that are no answer, before the episode is cut off
KINDS = tuple(
    """ab acre advanced_geometry aiw arc_1d arc_agi base_conversion basic_arithmetic bf binary_alternation
    binary_matrix bitwise_arithmetic caesar_cipher calendar_arithmetic chain_sum circuit_logic coin_flip
    color_cube_rotation complex_arithmetic count_bits count_primes course_schedule cryptarithm decimal_arithmetic
    decimal_chain_sum dice emoji_mystery family_relationships figlet_font fraction_simplification futoshiki
    game_of_life gcd group_anagrams gsm_symbolic isomorphic_strings jugs kakurasu knight_swap knights_knaves
    largest_island lcm leg_counting letter_counting letter_jumble list_functions mahjong_puzzle manipulate_matrix
    maze mini_sudoku modulo_grid needle_haystack number_filtering number_format number_sequence number_sorting
    palindrome_generation palindrome_partitioning path_star polynomial_equations pool_matrix power_function
    prime_factorization products quantum_lock ransom_note rearc rectangle_count rotate_matrix rotten_oranges
    self_reference sentence_reordering shortest_path simple_equations simple_geometry sokoban spell_backward
    spiral_matrix string_insertion string_manipulation string_splitting string_synthesis sudoku survo syllogism
    time_intervals tower_of_hanoi tsumego word_ladder word_sequence_reversal word_sorting zebra_puzzles""".split()
)
# Several answers are right, and a checker knows them; the package gives none of them. Played when they are named.
WITHOUT_REFERENCE = ("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour")
_EVALUATES = "its scorer runs the answer as Python code"
LEFT_OUT = {
    "codeio": "not the same for the same seed",
    "composite": "made of other kinds, which it must be given",
    "countdown": _EVALUATES,
    "game_of_life_halting": "its scorer accepts nonsense",
    "intermediate_integration": _EVALUATES,
    "n_queens": _EVALUATES,
    "polynomial_multiplication": _EVALUATES,
    "puzzle24": _EVALUATES,
    "simple_integration": _EVALUATES,
}
# These evaluate an answer only where it differs from the reference, for a small part of the score: compare and no more.
COMPARED = frozenset({"binary_matrix", "spiral_matrix", "string_insertion"})
HELP = "Give your final answer on one line as `answer: ...` (`\\n` stands for a line break), or by the tool `answer`."
TOOL = ToolSpec(
    name="answer",
    description="Give the final answer. There is only one try.",
    parameters={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
# Also in bold letters, as models like to write it: "**Answer:** 42" and "**Answer: 42**".
ANSWER = re.compile(
    r"(?P<bold>\*\*)?(?:final )?answer ?:(?(bold)(?:\*\*)?)\s*(?P<plain>\S.*?)(?(bold)(?:\*\*)?)", re.I | re.S
)
log = logging.getLogger(__name__)


class ReasoningGymSuite:
    """Options: `kinds`, names of `KINDS` (all, if empty) or `WITHOUT_REFERENCE`. `threshold`: the score, 0 to 1, that
    counts as success. An answer is written, not chosen: no actions are listed, and a model that only chooses cannot
    play."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Puzzles, one answer each.",
        licence="Apache-2.0 (reasoning-gym)",
        templates=len(KINDS),
        acts=(Acts.TEXT, Acts.TOOLS),
        reward="0 to 1",
        success="a score of 1, or of the option threshold",
        max_steps=TRIES,
        extra="reasoning",
        needs=("a model that writes",),
        snapshots=True,
    )

    def __init__(self, kinds: Sequence[str] = (), threshold: float = 1.0) -> None:
        if not isinstance(kinds, str):
            for name in kinds:
                if name in LEFT_OUT:
                    raise SettingsError(f"{SUITE}: {name} is left out: {LEFT_OUT[name]}")
        self._kinds = chosen(SUITE, "kinds", kinds, (*KINDS, *WITHOUT_REFERENCE)) if kinds else KINDS
        if not 0 < threshold <= 1:
            raise SettingsError(f"{SUITE}: threshold = {threshold} is no score", "more than 0, at most 1")
        self._threshold = threshold
        self.version = f"{extra_version('reasoning_gym', 'reasoning-gym', 'reasoning')}/{CODE}"

    def card(self) -> SuiteCard:
        return self.about.model_copy(update={"templates": len(self._kinds)})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return tuple(
            Task(
                id=f"{SUITE}/{kind}/{seed}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{kind}",
                split=split,
                seed=seed,
                instruction=f"Solve this puzzle of the kind {kind.replace('_', ' ')}.",
                params={"kind": kind, "threshold": self._threshold},
                version=self.version,
            )
            for seed in seeds(SUITE, split, per_template, offset)
            for kind in self._kinds
        )

    async def start(self) -> None:
        """Nothing is shared."""

    async def create(self) -> "ReasoningGymEnvironment":
        await asyncio.to_thread(_gym)  # its import takes seconds: not in the first episode's time
        return ReasoningGymEnvironment(self.version)

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> "ReasoningGymOracle":
        return ReasoningGymOracle()


@dataclass(frozen=True)
class Kept:
    """What an episode is beside its task."""

    steps: int
    note: str


@dataclass
class _Episode:
    task: Task
    generator: Any
    puzzle: JSON
    steps: int = 0
    note: str = HELP


class ReasoningGymEnvironment:
    """One step: the answer. Its reward is the package's score, 0 to 1. What is no answer is told so."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._episode: _Episode | None = None
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        self._refuse(task)
        self._episode = _Episode(task, *puzzle_of(task))
        return _observed(self._episode)

    async def step(self, action: Action) -> StepResult:
        episode = self._running()
        task = episode.task
        episode.steps += 1
        answer = answer_of(action)
        if answer is None or len(answer) > LONGEST_ANSWER:
            note = "That is no answer." if answer is None else f"An answer has at most {LONGEST_ANSWER:,} characters."
            episode.note = f"{note} {HELP}"
            truncated = episode.steps >= TRIES
            if truncated:
                self._episode = None
            return StepResult(
                observation=_observed(episode),
                truncated=truncated,
                success=False if truncated else None,
                info={"note": note},
            )
        self._episode = None
        score = scored(task.params["kind"], episode.generator, answer, episode.puzzle)
        success = score >= task.params["threshold"]
        episode.note = f"Your answer was {'right' if success else 'not right'}."
        return StepResult(
            observation=_observed(episode),
            reward=score,
            terminated=True,
            success=success,
            info={"score": score, "max_score": 1.0},
        )

    async def snapshot(self) -> Snapshot:
        episode = self._running()
        return kept(episode.task, Kept(episode.steps, episode.note))

    async def restore(self, snapshot: Snapshot) -> Observation:
        self._refuse(snapshot.task)
        was = opened(snapshot, Kept)
        self._episode = _Episode(snapshot.task, *puzzle_of(snapshot.task), was.steps, was.note)
        return _observed(self._episode)

    async def close(self) -> None:
        self._closed, self._episode = True, None

    def _refuse(self, task: Task) -> None:
        refuse_closed(self._closed)
        checked_task(task, SUITE, self._version)

    def _running(self) -> _Episode:
        return running(self._episode)


class ReasoningGymOracle:
    """The reference answer; nothing where the package has none. For tests only."""

    def solution(self, task: Task, observation: Observation) -> Sequence[Action]:
        answer = puzzle_of(task)[1]["answer"]
        return [] if answer is None else [Action(text="answer: " + str(answer).replace("\n", "\\n"))]


def puzzle_of(task: Task) -> tuple[Any, JSON]:
    """(the generator, its puzzle: question, answer, metadata) of a task's kind and seed."""
    generator = _gym().create_dataset(task.params["kind"], size=1, seed=task.seed)
    return generator, generator[0]


def answer_of(action: Action) -> str | None:
    """What was answered; None for anything else."""
    call = action.tool_call
    if call is not None:
        text = call.arguments.get("text")
        return text if call.name == TOOL.name and isinstance(text, str) and _sayable(text) else None
    said = ANSWER.fullmatch(action.text.strip())
    if said is None or not _sayable(said["plain"]):
        return None
    return said["plain"].strip("`").replace("\\n", "\n")


def _sayable(text: str) -> bool:
    """Something, and no half of a character."""
    try:
        return bool(text.encode().strip())
    except UnicodeEncodeError:
        return False


def scored(kind: str, generator: Any, answer: str, puzzle: JSON) -> float:
    """0 to 1. A scorer that stumbles over an answer has found it wrong."""
    if kind in COMPARED:
        return float(answer.strip() == puzzle["answer"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return min(1.0, max(0.0, float(generator.score_answer(answer, puzzle))))
    except Exception as error:
        log.info("%s cannot score %r: %s", kind, answer[:80], error)
        return 0.0


def _observed(episode: _Episode) -> Observation:
    text = f"{episode.puzzle['question']}\n\n{episode.note}"
    return Observation(instruction=episode.task.instruction, text=text, tools=(TOOL,))


def _gym() -> Any:
    import reasoning_gym

    return reasoning_gym
