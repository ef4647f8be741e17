"""From the store to the index: what was committed is there after the next start, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory.build import item
from tests.memory.test_index import Cheap
from wisen.core.errors import StoreError
from wisen.core.records import MemoryItem
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank
from wisen.memory.index import ChromaIndex, IndexFault
from wisen.memory.outbox import Outbox

FEW = [item(f"Advice number {number}.") for number in range(6)]


class Counting(Cheap):
    def __init__(self) -> None:
        self.texts = 0

    async def embed(self, texts):  # type: ignore[no-untyped-def]
        self.texts += len(texts)
        return await super().embed(texts)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path):  # type: ignore[no-untyped-def]
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with Store.open(url) as store:
        yield store


@pytest.mark.parametrize("place", ["folder", "server"])
async def test_what_a_killed_process_left_is_delivered_at_the_next_start(
    ledger: Store, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    where = {"path": tmp_path / "chroma"}
    if place == "server":
        where = {"url": request.getfixturevalue("chroma").url, "collection": f"outbox{tmp_path.name}"}
    bank, embedder = Bank(ledger), Counting()
    index = ChromaIndex(embedder, **where)  # type: ignore[arg-type]
    bank.propose(FEW[:3], actor="test")
    outbox = Outbox(ledger, index)
    assert await outbox.deliver() == 3 and await outbox.deliver() == 0
    bank.propose(FEW[2:5], actor="test")  # and here the process ended
    await index.ensure([item("What the store never had.")])  # of a store that was put back to a backup
    await index.close()
    before = embedder.texts
    again = ChromaIndex(embedder, **where)  # type: ignore[arg-type]
    outbox = Outbox(ledger, again)
    assert await outbox.deliver() == 2 and embedder.texts == before + 2
    assert await again.ids() == bank.snapshot().items.keys()
    bank.restore(1, actor="test")
    assert await outbox.deliver() == 0
    assert len(await again.ids()) == 5  # an earlier version may be recalled from
    bank.propose(FEW[5:], actor="test")
    assert await outbox.deliver() == 1
    await again.close()


async def test_a_title_that_changed_last_is_the_one_that_is_found(ledger: Store, tmp_path: Path) -> None:
    bank, index = Bank(ledger), ChromaIndex(Cheap(), path=tmp_path / "chroma")
    bank.propose(FEW[:1], actor="test")
    await Outbox(ledger, index).deliver()
    bank.edit(FEW[0].id, actor="test", title="Trains to Vienna")
    assert await Outbox(ledger, index).deliver() == 1
    plain = ChromaIndex(Cheap(), path=tmp_path / "plain")
    await plain.sync(bank.snapshot().items.values())
    ids = [FEW[0].id]
    assert await index.query("trains", ids, 1) == await plain.query("trains", ids, 1)
    for one in (index, plain):
        await one.close()


async def test_what_failed_is_delivered_by_the_next_call(ledger: Store, tmp_path: Path) -> None:
    class Failing(Counting):
        broken = True

        async def embed(self, texts):  # type: ignore[no-untyped-def]
            if self.broken:
                raise IndexFault("no")
            return await super().embed(texts)

    embedder = Failing()
    index = ChromaIndex(embedder, path=tmp_path / "chroma")
    Bank(ledger).propose(FEW, actor="test")
    outbox = Outbox(ledger, index)
    with pytest.raises(IndexFault):
        await outbox.deliver()
    embedder.broken = False
    assert await outbox.deliver() == len(FEW)
    await index.close()


async def test_items_that_are_known_are_not_worked_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[MemoryItem] = []
    monkeypatch.setattr("wisen.memory.index.searchable", lambda one: (seen.append(one), one.text)[1])
    index = ChromaIndex(Cheap(), path=tmp_path / "chroma")
    await index.ensure(FEW)
    seen.clear()
    await index.ensure(FEW)
    assert seen == []
    other = FEW[0].model_copy(update={"title": "Another"})
    await index.ensure([other, *FEW[1:]])
    assert {one.title for one in seen} == {"Another"}
    seen.clear()
    await index.ensure(FEW)
    assert {one.id for one in seen} == {FEW[0].id}
    await index.close()


def test_a_second_process_is_refused_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wisen.core.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock(): pass"
    )
    with Workspace(tmp_path / "ws").lock():
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "ws")], capture_output=True, text=True, check=False
        )
    assert other.returncode == 1 and StoreError.__name__ in other.stderr
    assert "another wisen process (pid" in other.stderr and "a workspace of its own" in other.stderr
