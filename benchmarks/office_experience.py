"""Can experience pay in the office? The same scripted worker, with and without knowing the ways of the house.

    python benchmarks/office_experience.py --episodes 340 --out .wisen-office

The worker knows how each errand is done and is told the facts of the task; all that it may lack are the organisation's
conventions. So this says something about the environment (how much of success hangs on what only experience tells) and
nothing about any agent. Arms:

- newcomer: guesses each convention anew in each episode, and tries another way when a tool refuses;
- learner: the same, but remembers: what was refused, what a closing remark spoke of, and what a success confirmed;
- told its own: given the conventions of the organisation, which it tries first;
- told another's: given those of another organisation, which differ in every convention; it tries these first;
- control: the newcomer where any way is fine (`conventions = false`).

All arms play the same tasks. Prints a table with Wilson intervals and the learner's curve; writes `office.json`.
"""

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path

from wisen.core.ids import derived_seed
from wisen.core.records import Action, Split, StepResult, Task
from wisen.core.statistics import wilson
from wisen.environments.tool.office.conventions import NAMES, VARIANTS, conventions_of
from wisen.environments.tool.office.environment import OfficeEnvironment, job_for
from wisen.environments.tool.office.plans import Beliefs, Reply, believing, plan_of
from wisen.environments.tool.office.suite import OfficeSuite
from wisen.environments.tool.office.templates import TEMPLATES
from wisen.environments.tool.office.tools import FINISH

HOUSES = (0, 1, 2)
REMARKED = {  # words of a closing remark, and the conventions that they cast doubt on
    "reference": ("reference",),
    "does not lie": ("folder",),
    "is not named": ("file_name",),
    "priority": ("priority",),
    "was not approved": ("limit",),
    "passed on": ("customer_copy",),
}


class Worker:
    """Draws its beliefs for each episode, behind what it was advised; `learns` says whether it keeps what an episode
    showed."""

    def __init__(self, seed: int, *, advice: Beliefs, learns: bool = False) -> None:
        self._seed, self._advice, self._learns = seed, advice, learns
        self._left = {name: set(variants) for name, variants in VARIANTS.items()}

    def beliefs(self, task: Task) -> Beliefs:
        draw = random.Random(derived_seed(self._seed, task.id))
        guessed = {name: draw.sample(sorted(self._left[name]), len(self._left[name])) for name in NAMES}
        return {name: tuple(dict.fromkeys((*self._advice.get(name, ()), *guessed[name]))) for name in NAMES}

    def look_back(self, beliefs: Beliefs, end: StepResult, refused: set[str]) -> None:
        """Rule out the first guess of whatever a remark or a refusal spoke of."""
        if not self._learns:
            return
        told = end.observation.text.splitlines()[0]
        doubted = {name for words, names in REMARKED.items() if words in told for name in names} | refused
        for name in doubted:
            if len(self._left[name]) > 1:
                self._left[name].discard(beliefs[name][0])


REFUSALS = {"create_event": "date_format", "open_ticket": "priority", "refund_order": "refund_first"} | {
    "close_ticket": "close_first"
}


async def episode(environment: OfficeEnvironment, worker: Worker, task: Task) -> bool:
    job, _ = job_for(task)
    beliefs = worker.beliefs(task)
    await environment.reset(task)
    plan, refused = plan_of(task.params["template"], job, beliefs), set()
    call = next(plan)
    while True:
        result = await environment.step(Action(tool_call=call))
        if call.name == FINISH or result.truncated:
            worker.look_back(beliefs, result, refused)
            return result.success is True
        text = result.observation.text.splitlines()[0]
        if "refused" in result.info and call.name in REFUSALS:
            refused.add(REFUSALS[call.name])
        call = plan.send(Reply(text, "refused" in result.info))


async def arm(name: str, house: int, episodes: int, seed: int) -> list[tuple[int, bool]]:
    """(level, success) of each episode in order."""
    own, other = conventions_of(house), conventions_of(house + 1 if house % 3 < 2 else house - 2)
    advice = {"told its own": believing(own), "told another's": believing(other)}.get(name, {})
    worker = Worker(seed, advice=advice, learns=name == "learner")
    suite = OfficeSuite(organisations=[house], conventions=name != "control")
    tasks = list(suite.tasks(Split.LEARN, -(-episodes // 17), offset=1000 * seed))[:episodes]
    random.Random(derived_seed("order", house, seed)).shuffle(tasks)
    environment = await suite.create()
    return [(TEMPLATES[task.params["template"]].level, await episode(environment, worker, task)) for task in tasks]


ARMS = ("newcomer", "learner", "told its own", "told another's", "control")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=340, help="in each house, of each arm and seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(".wisen-office"))
    told = parser.parse_args()
    runs = {
        name: [asyncio.run(arm(name, house, told.episodes, seed)) for house in HOUSES for seed in told.seeds]
        for name in ARMS
    }
    lines = ["| worker | solved | 95 % interval | level 1 | 2 | 3 | 4 |", "| --- | --- | --- | --- | --- | --- | --- |"]
    record: dict[str, object] = {}
    for name, outcomes in runs.items():
        flat = [success for run in outcomes for _, success in run]
        share = wilson(sum(flat), len(flat))
        levels = [_share([success for run in outcomes for at, success in run if at == level]) for level in (1, 2, 3, 4)]
        record[name] = {**share.model_dump(), "levels": levels}
        low, mean, high = (100 * value for value in (share.low, share.mean, share.high))
        lines.append(f"| {name} | {mean:.1f} % of {len(flat)} | {low:.1f} to {high:.1f} | {' | '.join(levels)} |")
    lines += ["", "The learner by episode in a house:", "", "| episodes | solved |", "| --- | --- |"]
    curve = {}
    for start, stop in ((0, 10), (10, 20), (20, 40), (40, 80), (80, told.episodes)):
        part = [success for run in runs["learner"] for _, success in run[start:stop]]
        if part:
            curve[f"{start + 1} to {stop}"] = sum(part) / len(part)
            lines.append(f"| {start + 1} to {stop} | {_share(part)} of {len(part)} |")
    record["learner by episode"] = curve
    told.out.mkdir(parents=True, exist_ok=True)
    told.out.joinpath("office.json").write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write("\n".join(lines) + "\n")


def _share(outcomes: list[bool]) -> str:
    return f"{100 * sum(outcomes) / len(outcomes):.0f} %" if outcomes else "-"


if __name__ == "__main__":
    main()
