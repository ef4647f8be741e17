"""Does the retrieval head learn which case helps, where cosine cannot tell?

    python benchmarks/memory_retrieval.py --seeds 0 1 2 3 4 5 6 7 8 9 --out .wisen-retrieval

Each of 28 tasks has two look-alike cases, which name that task; their plans are of two styles, in several wordings. One
of the two helps (+35 points), the other does nothing. Which style helps changes with the seed, so that cosine, which
likes one of them better, is right about half of the time. Two worlds:

- by style: plans of one style help everywhere.
- by state: with tasks that cannot be undone one style helps, with tasks that only look something up the other. No style
  is good or bad in itself.

Episodes are collected as the product does it: each case with a place is shown with probability one half. They go
through `refit` every 200 outcomes, and what comes of it is tried on the cases that it learned from, asked for in words
it never saw, and on unseen ones: other tasks, other wordings, other cases. Beside it:

- shared, always shown: the control. Both are shown in every run and both get its outcome, as in the training set that
  was released with the method. It must not beat cosine.
- shared, shown at random: what was shown gets the run's outcome, what was held out is not used: the draw alone.

AUC: how often the useful case stands before the useless one of the same task. Success: of a simulated agent that is
shown the first case. Intervals resample seeds. Unseen cases by state are shown without a claim: in trials before this
benchmark twenty tasks were too few to tell the kind of a new one. Writes retrieval.md and retrieval.json to the output
folder, and every seed as it is finished: a second start goes on from there. Exits with 1 where a criterion is missed.
One core, some minutes.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for its neighbours

from wisen.core.protocols import Ranker
from wisen.core.records import Author, Candidate, EpisodeEnd, Found, Interval, ItemKind, MemoryItem, Outcome, Recall
from wisen.core.statistics import paired_bootstrap
from wisen.memory.index import searchable
from wisen.memory.items import make_item
from wisen.memory.parametric.files import load_head, newest
from wisen.memory.parametric.labels import CaseLabel, case_labels
from wisen.memory.parametric.ranker import Parametric, proven_ranker
from wisen.memory.parametric.refit import RefitSettings, refit
from wisen.memory.parametric.training import examples, fit
from wisen.memory.rankers.similarity import Similarity
from wisen.models.embedder import MiniLM

FINAL = """delete the old backups|pay the electricity bill|send the contract to the client|cancel the hotel booking
close the customer's account|wire the deposit to the landlord|publish the press release|order the office chairs
sign the lease|submit the tax form|remove the former employee|approve the loan|accept the job offer
book the flight to Lisbon"""
LOOKUPS = """find the opening hours of the library|look up the price of the red jacket|check the weather in Oslo
read the newest message|see who wrote the report|find the phone number of the dentist|list the meetings of Monday
check when the train leaves|find the cheapest printer|see how many tickets are open|look up the score of the match
see which room is free|look up the postal code|read the third comment"""
CHECKING = """Read every field back and compare it with the request before you go on.
Check each value against the wording of the task, and only then confirm.
Verify names and numbers once more at the end; go on when all of them match.
Compare what the page shows with what was asked, line by line.
Pause before the last step and look for anything that differs from the task.
Make sure that the details are right; if one is not, go back and mend it.
Review the summary carefully and correct what is wrong.
Confirm that nothing is missing before the final click."""
STRAIGHT = """Take the first entry that fits and finish at once.
Go there directly, without opening anything else on the way.
Use the search box, take the top result, and stop.
Answer as soon as you see it; there is no need to look further.
Skip the details page; what the list shows is enough.
Press the button that is nearest and be done in one step.
Do not scroll or open other pages, just act and end.
Choose quickly, the default is fine."""
ASKING = ("Please {}.", "{}, for Ada.", "Your task: {}.", "Could you {} today?")
WORDINGS, LEARNED, HELD_OUT = 6, 10, 4  # pairs of wordings; tasks of each kind to learn from, and to be tried on
LIFT, LOOKS = 0.35, 8
KNOWN, UNSEEN = "known cases", "unseen cases"
SHARED, AT_RANDOM = "shared, always shown", "shared, shown at random"


@dataclass(frozen=True)
class World:
    """tasks: instruction stems, those that cannot be undone first. pairs: wordings of the two styles, (checking,
    straight), that are equally near to the tasks."""

    tasks: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    by_state: bool
    turned: bool = False  # the other style helps

    def useful(self, task: int, checking: bool) -> bool:
        helps = task < len(self.tasks) // 2 if self.by_state else True
        return checking == (helps != self.turned)

    def case(self, task: int, wording: str) -> MemoryItem:
        what = self.tasks[task]
        return make_item(
            kind=ItemKind.CASE,
            title=what.capitalize(),
            when_to_use=f"The task is to {what}.",
            content=wording,
            author=Author(distiller="planted"),
            evidence=("planted",),
            source_tasks=("planted",),
        )

    def query(self, task: int, asking: int) -> str:
        return ASKING[asking].format(self.tasks[task]).capitalize()


@dataclass(frozen=True)
class Bank:
    """By task its two cases, and whether they help."""

    cases: Mapping[int, tuple[MemoryItem, ...]]
    useful: Mapping[str, bool]


def bank(world: World, tasks: Sequence[int], pairs: Sequence[int], rng: np.random.Generator) -> Bank:
    cases, useful = {}, {}
    for task in tasks:
        pair = world.pairs[int(rng.choice(pairs))]
        made = [(world.case(task, pair[side]), world.useful(task, side == 0)) for side in (0, 1)]
        cases[task] = tuple(item for item, _ in made)
        useful |= {item.id: helps for item, helps in made}
    return Bank(cases, useful)


def collected(
    world: World, bank: Bank, tasks: Sequence[int], number: int, rng: np.random.Generator, *, propensity: float
) -> tuple[list[Recall], list[Outcome]]:
    """Episodes as they are stored. The base rate of every task is its own."""
    base = dict(zip(tasks, rng.uniform(0.2, 0.6, len(tasks)), strict=True))
    recalls, outcomes = [], []
    for place in range(number):
        task = int(rng.choice(tasks))
        ranked = tuple(
            Candidate(item_id=item.id, score=0.0, propensity=propensity, shown=bool(rng.random() < propensity))
            for item in bank.cases[task]
        )
        helped = any(bank.useful[one.item_id] for one in ranked if one.shown)
        episode, asking = f"episode-{place}", int(rng.integers(len(ASKING) - 1))
        recalls.append(
            Recall(
                id=f"recall-{place}",
                trajectory_id=episode,
                query=world.query(task, asking),
                ranker="similarity",
                bank_version=1,
                release_id="r0",
                eligible=len(ranked),
                ranked=ranked,
            )
        )
        outcomes.append(
            Outcome(
                trajectory_id=episode,
                task_id=f"{task}/{place}",
                template_id=str(task),
                success=bool(rng.random() < base[task] + LIFT * helped),
                reward=0.0,
                steps=1,
                end=EpisodeEnd.TERMINATED,
                seconds=0.0,
                arm="",
            )
        )
    return recalls, outcomes


def shared(recalls: Sequence[Recall], outcomes: Sequence[Outcome]) -> list[CaseLabel]:
    """The outcome of a run for each case that was shown in it."""
    return [
        CaseLabel(recall.trajectory_id, outcome.task_id, recall.query, one.item_id, True, 1.0, outcome.success)
        for recall, outcome in zip(recalls, outcomes, strict=True)
        for one in recall.ranked
        if one.shown
    ]


async def fitted(labels: Sequence[CaseLabel], items: Mapping[str, MemoryItem], embedder: MiniLM, seed: int) -> Ranker:
    texts = {one.item_id: searchable(items[one.item_id]) for one in labels} | {one.query: one.query for one in labels}
    vectors = dict(zip(texts, await embedder.embed(list(texts.values())), strict=True))
    return Parametric(await asyncio.to_thread(lambda: fit(examples(labels, vectors), seed=seed)), embedder)


async def tried(
    world: World, held_out: Bank, askings: Sequence[int], ranker: Ranker, embedder: MiniLM, rng: np.random.Generator
) -> tuple[float, float]:
    """(AUC, success share) over these ways to ask for all tasks of the bank. Equal generators draw the same luck."""
    areas, successes = [], []
    for task, cases in held_out.cases.items():
        base = rng.uniform(0.2, 0.6)
        for asking in askings:
            query = world.query(task, asking)
            state, *vectors = await embedder.embed([query, *(searchable(item) for item in cases)])
            found = [Found(item=item, similarity=float(state @ one)) for item, one in zip(cases, vectors, strict=True)]
            order = [one.item_id for one in await ranker.rank(found, query=query, seed=0)]
            helps = [held_out.useful[key] for key in order]
            pairs = [place < other for place, a in enumerate(helps) if a for other, b in enumerate(helps) if not b]
            areas.append(fmean(pairs))
            successes += (rng.random(50) < base + LIFT * helps[0]).tolist()
    return fmean(areas), fmean(successes)


async def replication(world: World, embedder: MiniLM, seed: int) -> dict[str, Any]:
    """One seed: who learned what, and when the product let the head in (outcomes; None: never)."""
    rng = np.random.default_rng((seed, world.by_state))
    half = len(world.tasks) // 2
    kinds = [rng.permutation(half) + start for start in (0, half)]
    wordings = rng.permutation(len(world.pairs))
    learned = [int(one) for kind in kinds for one in kind[:LEARNED]]
    known = bank(world, learned, wordings[:-2].tolist(), rng)
    unseen = [int(one) for kind in kinds for one in kind[LEARNED : LEARNED + HELD_OUT]]
    held_out = bank(world, unseen, wordings[-2:].tolist(), rng)
    items = {item.id: item for cases in known.cases.values() for item in cases}
    every = RefitSettings().every
    recalls, outcomes = collected(world, known, learned, LOOKS * every, rng, propensity=0.5)
    let_in: int | None = None
    proof = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(every, len(outcomes) + 1, every):
            card = await refit(recalls, outcomes[:number], items, embedder, folder, bank_version=1, seed=seed)
            assert card is not None
            proof = card.proof
            if card.proven and let_in is None:
                let_in = number
        served = proven_ranker(folder, embedder, 1)
        path = newest(folder)
        assert path is not None
        head = Parametric(load_head(path)[0], embedder)
    always, told = collected(world, known, learned, LOOKS * every, rng, propensity=1.0)
    assert not case_labels(always, told)  # the product takes no label that no draw stands behind
    rankers = {
        "cosine": Similarity(),
        "head": head,
        SHARED: await fitted(shared(always, told), items, embedder, seed),
        AT_RANDOM: await fitted(shared(recalls, outcomes), items, embedder, seed),
    }
    luck, everyway = (seed, world.by_state, 1), range(len(ASKING))
    beds = {KNOWN: (known, everyway[-1:]), UNSEEN: (held_out, everyway)}
    found = {
        bed: {
            key: await tried(world, cases, askings, ranker, embedder, np.random.default_rng(luck))
            for key, ranker in rankers.items()
        }
        for bed, (cases, askings) in beds.items()
    }
    return {
        "beds": found,
        "let_in": let_in,
        "served": served.name,
        "proof": proof.model_dump(mode="json") if proof else None,
    }


async def paired_wordings(embedder: MiniLM, tasks: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs of wordings, one of each style, that are most equally near to the tasks that name them."""
    world = World(tuple(tasks), (), False)
    queries = await embedder.embed([world.query(task, 0) for task in range(len(tasks))])
    near = {}
    for wording in [*CHECKING.splitlines(), *STRAIGHT.splitlines()]:
        vectors = await embedder.embed([searchable(world.case(task, wording)) for task in range(len(tasks))])
        near[wording] = float(np.einsum("nd,nd->n", queries, vectors).mean())
    from scipy.optimize import linear_sum_assignment

    one, other = CHECKING.splitlines(), STRAIGHT.splitlines()
    gaps = np.array([[abs(near[a] - near[b]) for b in other] for a in one])
    rows, columns = linear_sum_assignment(gaps**2)
    best = sorted(zip(rows, columns, strict=True), key=lambda pair: gaps[pair])[:WORDINGS]
    return tuple((one[a], other[b]) for a, b in best)


async def played(out: Path, seeds: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    embedder = MiniLM()
    tasks = tuple((FINAL + "|" + LOOKUPS).replace("\n", "|").split("|"))
    pairs = await paired_wordings(embedder, tasks)
    found: dict[str, list[dict[str, Any]]] = {"by style": [], "by state": []}
    for seed in seeds:
        for name, blocks in found.items():
            path = out / f"{name.replace(' ', '-')}-{seed}.json"
            if not path.exists():
                block = await replication(World(tasks, pairs, name == "by state", turned=seed % 2 == 1), embedder, seed)
                path.write_text(json.dumps(block, indent=1) + "\n")
            blocks.append(json.loads(path.read_text()))
    return found


def figures(blocks: Sequence[Mapping[str, Any]], bed: str) -> dict[str, dict[str, Interval]]:
    """By arm: its AUC and success, and what each is ahead of cosine."""
    found: dict[str, dict[str, Interval]] = {}
    arms = [one["beds"][bed] for one in blocks]
    for arm in arms[0]:
        row = {}
        for place, name in enumerate(("auc", "success")):
            row[name] = paired_bootstrap([one[arm][place] for one in arms], seed=0)
            ahead = [one[arm][place] - one["cosine"][place] for one in arms]
            row[f"{name} ahead"] = paired_bootstrap(ahead, seed=0)
        found[arm] = row
    return found


def criteria(found: Mapping[tuple[str, str], Mapping[str, Mapping[str, Interval]]]) -> dict[str, bool]:
    claims = {}
    for (world, bed), arms in found.items():
        if (world, bed) != ("by state", UNSEEN):
            claims[f"{world}, {bed}: the head's AUC is above cosine's"] = arms["head"]["auc ahead"].low > 0
            claims[f"{world}, {bed}: success rises with it"] = arms["head"]["success ahead"].low > 0
        claims[f"{world}, {bed}: the control's AUC is not above cosine's"] = arms[SHARED]["auc ahead"].low <= 0
        claims[f"{world}, {bed}: success does not rise with the control"] = arms[SHARED]["success ahead"].low <= 0
    return claims


def table(
    blocks: Mapping[str, Sequence[Mapping[str, Any]]],
    found: Mapping[tuple[str, str], Mapping[str, Mapping[str, Interval]]],
    claims: Mapping[str, bool],
    seeds: Sequence[int],
) -> str:
    every = RefitSettings().every
    lines = [
        "# Parametric retrieval on planted look-alikes",
        "",
        f"{len(seeds)} seeds, {LOOKS * every} outcomes each, two cases a run. In brackets 95 % intervals over seeds.",
    ]
    for (world, bed), arms in found.items():
        lines += [
            "",
            f"## What helps: {world}; {bed}",
            "",
            "| ranked by | AUC | ahead of cosine | success, % | ahead of cosine, points |",
            "| --- | --- | --- | --- | --- |",
        ]
        for arm, row in arms.items():
            auc, success = _shown(row["auc"], 1, 2), _shown(row["success"], 100, 1)
            ahead = (_shown(row["auc ahead"], 1, 2, "+"), _shown(row["success ahead"], 100, 1, "+"))
            same = arm == "cosine"
            lines.append(f"| {arm} | {auc} | {'' if same else ahead[0]} | {success} | {'' if same else ahead[1]} |")
    lines += ["", "## When the product lets the head in", ""]
    for world, one in blocks.items():
        done = [block["let_in"] for block in one if block["let_in"] is not None]
        proofs = [block["proof"] for block in one if block["proof"]]
        lines.append(
            f"- {world}: on {len(done)} of {len(one)} seeds"
            + (f", at the median after {median(done):.0f} outcomes. " if done else ". ")
            + f"On held-out outcomes its area was {fmean(block['head'] for block in proofs):.3f}, cosine's "
            f"{fmean(block['cosine'] for block in proofs):.3f}: what the product sees, near one half by the noise of "
            "outcomes."
        )
    lines += ["", "## Criteria", "", "| criterion | seen |", "| --- | --- |"]
    lines += [f"| {claim} | {'yes' if seen else 'NO'} |" for claim, seen in claims.items()]
    return "\n".join(lines) + "\n"


def _shown(one: Interval, scale: float, digits: int, sign: str = "") -> str:
    mean, low, high = (f"{scale * value:{sign}.{digits}f}" for value in (one.mean, one.low, one.high))
    return f"{mean} [{low}, {high}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--out", type=Path, default=Path(".wisen-retrieval"))
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    blocks = asyncio.run(played(told.out, told.seeds))
    found = {(world, bed): figures(one, bed) for world, one in blocks.items() for bed in (KNOWN, UNSEEN)}
    claims = criteria(found)
    text = table(blocks, found, claims, told.seeds)
    told.out.joinpath("retrieval.md").write_text(text)
    record = {"seeds": told.seeds, "criteria": claims, "replications": blocks}
    told.out.joinpath("retrieval.json").write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(text)
    sys.exit(0 if all(claims.values()) else 1)


if __name__ == "__main__":
    main()
