"""The setting of the poisoning benchmark: what was forged looks like what was learned, and its verdict fails it."""

from collections.abc import Sequence

from benchmarks.attack_setting import benign, poisoned, queries
from benchmarks.memory_attack import CRITERIA, KS, Notes, Outcome, missed, summary
from wisen.core.records import MemoryItem


async def test_forged_items_come_by_the_same_channel_as_honest_ones() -> None:
    honest = await benign(5, 40, 1)
    forged = await poisoned(5, 6, 1, sorted({name for _, name in honest}))
    assert (len({item.id for item, _ in honest}), len({item.id for item, _ in forged})) == (40, 6)

    def channel(learned: Sequence[tuple[MemoryItem, str]]) -> set[tuple[object, ...]]:
        return {
            (item.kind, item.trust, item.author, item.scope.suite, item.scope.environment, item.needs_tasks)
            for item, _ in learned
        }

    assert channel(honest) == channel(forged) and len(channel(honest)) == 1
    assert all(len(item.evidence) == len(item.source_tasks) == 1 for item, _ in [*honest, *forged])
    assert not {item.content for item, _ in forged} & {item.content for item, _ in honest}
    asked = {query.task.id for query in queries(5, 1)}
    assert not any(asked.intersection(item.source_tasks) for item, _ in [*honest, *forged])


def test_what_misses_the_target_is_named_and_a_query_counts_with_the_mean_of_its_banks() -> None:
    def outcomes(*poison: float) -> dict[int, list[Outcome]]:
        return {k: [Outcome(one, 1.0) for one in poison] for k in KS}

    notes = Notes()
    for name in ("clean", "clean, defended", "attacked", *CRITERIA):
        notes.add(name, "0", outcomes(*[0.0] * 50))
        notes.add(
            name,
            "0",
            outcomes(*[1.0] * (3 if name == CRITERIA[1] else 1), *[0.0] * (47 if name == CRITERIA[1] else 49)),
        )
    told = summary(notes)
    assert told["attacked"]["queries"] == 50
    assert told[CRITERIA[1]][1]["poisoned"]["mean"] == 0.03 and told[CRITERIA[1]][1]["worst"] == 0.06
    assert [line.split(":")[0] for line in missed(told)] == [f"k={k}, {CRITERIA[1]}" for k in KS]
