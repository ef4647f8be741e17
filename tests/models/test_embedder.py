import asyncio
import subprocess
import sys
import threading

import numpy as np
import pytest

from wisen.core.protocols import Embedder
from wisen.models.embedder import MiniLM

TEXTS = [
    "Click the Ok button.",
    "Click the No button.",
    'Enter the username "bela" and the password "x1" into the text fields and press login.',
    "",
    "a " * 400,
    "Zażółć gęślą jaźń 東京",
    *(f"Take item {number} off the list{' please' * (number % 7)}." for number in range(12)),
]


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM()


async def test_vectors_are_unit_vectors_in_order(embedder: MiniLM) -> None:
    assert isinstance(embedder, Embedder)
    vectors = await embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    one = await embedder.embed([TEXTS[2]])
    assert np.array_equal(one[0], vectors[2])
    assert (await embedder.embed([])).shape == (0, 384)


async def test_meaning_is_near(embedder: MiniLM) -> None:
    near, far, query = await embedder.embed(["Press the OK button.", "Kenya is in Africa.", "Click on ok."])
    assert near @ query > far @ query + 0.3


async def test_a_vector_depends_on_nothing_but_its_text() -> None:
    import torch

    first = MiniLM()
    alone = np.concatenate([await first.embed([text]) for text in TEXTS])
    backwards = (await MiniLM().embed(TEXTS[::-1]))[::-1]
    assert np.array_equal(alone, backwards)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            fresh = MiniLM()
            assert np.array_equal(alone, await fresh.embed(TEXTS)), f"{count} torch threads change the vectors"
            assert torch.get_num_threads() == count
            assert _threads_of_a_new_thread() == count
    finally:
        torch.set_num_threads(threads)


def _threads_of_a_new_thread() -> int:
    import torch

    found: list[int] = []
    thread = threading.Thread(target=lambda: (torch.ones(10) + 1, found.append(torch.get_num_threads())))
    thread.start()
    thread.join()
    return found[0]


async def test_concurrent_calls_agree_and_do_not_block_the_loop(embedder: MiniLM) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    new = [f"A text that nobody has embedded yet, number {number}." for number in range(20)]
    one, other = await asyncio.gather(embedder.embed(new), embedder.embed(new[::-1]))
    ticking.cancel()
    assert np.array_equal(one, other[::-1])
    assert ticks > 20


async def test_the_cache_is_bounded_and_keeps_what_was_used_last(embedder: MiniLM) -> None:
    small = MiniLM(cache_size=2)
    await small.embed(["one", "two"])
    await small.embed(["one"])
    await small.embed(["three"])
    assert list(small._cache) == ["one", "three"]
    assert np.array_equal(await small.embed(["two"]), await embedder.embed(["two"]))


def test_it_works_without_a_network_and_imports_nothing_heavy_before_use() -> None:
    code = """
import asyncio, os, socket, sys
for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(name, None)
from wisen.models.embedder import MiniLM
made = MiniLM()
assert not {"torch", "transformers", "sentence_transformers"} & sys.modules.keys()
tried = []
def refuse(*args, **kwargs):
    tried.append(args)
    raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = refuse
assert asyncio.run(made.embed(["hello"])).shape == (1, 384)
assert not tried, tried
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert "Loading weights" not in done.stderr
