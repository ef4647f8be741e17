"""Which pieces of which requests go into the next pass. Everything here runs in the computing thread."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wisen.core.errors import ModelFault
from wisen.models.engine import CHUNK
from wisen.models.engine.arena import Lease, chunk_keys
from wisen.models.engine.core import Core, Piece, Result
from wisen.models.engine.jobs import Job, Scores, Taken
from wisen.models.sampling import distributions
from wisen.models.trie import ROOT, TokenTree

SPARE = 2 * CHUNK  # places that filling may need beside a sequence's tokens
# Rows of prompts in one pass. More would keep those waiting who are in the midst of their answer, and on a CPU what is
# between two layers would no longer fit its caches.
READ = {"cpu": 256, "cuda": 4096}


@dataclass(eq=False)
class _Running:
    """A job with places in the cache. read: its tokens that are there."""

    job: Job
    lease: Lease
    read: int

    @property
    def written(self) -> bool:
        """Whether the whole prompt was read, and tokens come one by one."""
        return self.read >= len(self.job.prompt)


class Scheduler:
    """Jobs in, a pass at a time. max_running: jobs that are computed at once."""

    def __init__(self, core: Core, name: str, max_running: int) -> None:
        self._core, self._name, self._max_running = core, name, max_running
        self._waiting: deque[Job] = deque()
        self._running: list[_Running] = []

    def turn(self, arrived: Sequence[Job]) -> list[Job]:
        """One pass. Gives the jobs that have something to deliver; those that are done are forgotten."""
        for job in arrived:
            self._attempt(job, job.begin)
        touched = [job for job in arrived if job.done]
        self._waiting.extend(job for job in arrived if not job.done)
        self.drop_gone()
        self._admit()
        pieces = self._pieces()
        if not pieces:
            return touched
        try:
            results = self._core.run([piece for _, piece in pieces])
        except Exception as error:  # whatever torch raises belongs to those who asked
            for running in {id(each): each for each, _ in pieces}.values():
                running.job.fail(ModelFault(f"{self._name} failed: {error}"))
                running.lease.valid = 0  # nobody knows what was written
                touched.append(running.job)
        else:
            touched += self._hand_out(pieces, results)
        for running in [each for each in self._running if each.job.done]:
            self._leave(running)
        return touched

    def drop_gone(self) -> None:
        """Forget jobs that nobody waits for any more, or that failed."""
        self._waiting = deque(job for job in self._waiting if not (job.gone or job.done))
        for running in [each for each in self._running if each.job.gone or each.job.done]:
            self._leave(running)

    def _leave(self, running: _Running) -> None:
        self._running.remove(running)
        self._core.prefixes.release(running.lease)

    def _admit(self) -> None:
        prefixes = self._core.prefixes
        later: list[Job] = []
        while self._waiting and len(self._running) < self._max_running:
            job = self._waiting.popleft()
            keys = chunk_keys(job.prompt, job.owner)
            if prefixes.awaited(keys):
                later.append(job)  # what it would compute is being computed by another: the next pass finds it
                continue
            lease = prefixes.take(keys, len(job.prompt), places(job))
            if lease is None:
                later.append(job)
                break
            self._running.append(_Running(job, lease, lease.valid))
        self._waiting.extendleft(reversed(later))

    def _pieces(self) -> list[tuple[_Running, Piece]]:
        pieces: list[tuple[_Running, Piece]] = []
        rows, most = 0, READ.get(self._core.device.type, READ["cpu"])
        for running in self._running:
            if running.written:
                pieces += [(running, piece) for piece in _singles(running)]
                continue
            while rows < most and not running.written:
                piece = self._chunk(running)
                pieces.append((running, piece))
                rows += len(piece.ids)
        return pieces

    def _chunk(self, running: _Running) -> Piece:
        """The next piece of a prompt. The last one is filled up, and has the options behind it."""
        job, start = running.job, running.read
        prompt = job.prompt
        end = min(start + CHUNK, len(prompt))
        last = end == len(prompt)
        running.read = end
        tree = job.tree if last else None
        if tree is None:
            ids: tuple[int, ...] = prompt[start:end] + (0,) * (start + CHUNK - end)
            ask: tuple[int, ...] = (end - start - 1,) if last and not job.pending else ()
            if end == start + CHUNK:
                running.lease.valid = end
            mask = self._core.causal(start)
            positions = self._positions(range(start, start + CHUNK))
        else:
            size = -(-(end - start + len(tree.tokens)) // CHUNK) * CHUNK
            ids = prompt[start:end] + tree.tokens
            ids += (0,) * (size - len(ids))
            deep = [end + depth for depth in tree.depths]
            positions = self._positions([*range(start, end), *deep, *[end] * (size - (end - start) - len(deep))])
            ask = tuple(end - start + parent for parent in _parents(tree))
            mask = self._tree_mask(tree, start, end, size)
        return Piece(running.lease.start, start, ids, positions, mask, ask, job.owner)

    def _positions(self, positions: Sequence[int]) -> tuple[int, ...]:
        most = (self._core.loaded.context or 2**31) - 1  # filling may stand beyond what the model has places for
        return tuple(positions) if positions[-1] <= most else tuple(min(each, most) for each in positions)

    def _tree_mask(self, tree: TokenTree, start: int, end: int, size: int) -> Any:
        """[size, start + size]: the prompt sees what stands before, an option also its own beginning, filling all."""
        import torch

        near, count = end - start, len(tree.tokens)
        sees = np.ones((size, start + size), dtype=np.bool_)
        sees[:near, start:] = np.tri(near, size, dtype=np.bool_)
        sees[near : near + count, end:] = False
        sees[near : near + count, end : end + count] = tree.ancestry()
        mask = torch.zeros(sees.shape, dtype=self._core.loaded.model.dtype)
        return mask.masked_fill_(torch.from_numpy(~sees), float("-inf")).to(self._core.device)

    def _hand_out(self, pieces: Sequence[tuple[_Running, Piece]], results: Sequence[Result]) -> list[Job]:
        """Pass what was computed to those who wanted it."""
        touched: list[Job] = []
        drawing: list[tuple[Job, Any]] = []
        for (running, piece), result in zip(pieces, results, strict=True):
            job = running.job
            if not piece.wanted or job.done:
                continue
            touched.append(job)
            if job.tree is not None:
                tree = job.tree
                self._attempt(job, lambda job=job, tree=tree, logits=result.logits: job.take(_scores(tree, logits)))
            elif getattr(job, "states", False):
                self._attempt(job, lambda job=job, states=result.hidden: job.take(states[0].float().cpu().numpy()))
            else:
                drawing.append((job, result.logits))
        if drawing:
            self._draw(drawing)
        return touched

    def _draw(self, drawing: Sequence[tuple[Job, Any]]) -> None:
        """The next token of each, from one look at all their logits."""
        import torch

        logits = torch.cat([logits for _, logits in drawing])
        masks = [job.admitted() for job, _ in drawing]
        logprobs, entropies, best = distributions(logits, masks)
        for place, (job, _) in enumerate(drawing):
            taken = Taken(logprobs[place], entropies[place], best[place])
            self._attempt(job, lambda job=job, taken=taken: job.take(taken))

    def _attempt(self, job: Job, work: Any) -> None:
        try:
            work()
        except ModelFault as fault:
            job.fail(fault)
        except Exception as error:  # a grammar, or torch: it belongs to the one who asked
            job.fail(ModelFault(f"{self._name} failed: {error}"))


def places(job: Job) -> int:
    """How many places a job needs at most: its prompt, what comes after it, and filling."""
    return -(-(len(job.prompt) + job.room) // CHUNK) * CHUNK + CHUNK  # at most SPARE more than the tokens


def _singles(running: _Running) -> list[Piece]:
    job, lease = running.job, running.lease
    pieces = []
    for place, token in enumerate(job.pending):
        last = place == len(job.pending) - 1
        at = running.read
        running.read += 1
        pieces.append(Piece(lease.start, at, (token,), (at,), None, (0,) if last else (), job.owner))
    job.pending.clear()
    return pieces


def _parents(tree: TokenTree) -> list[int]:
    """The nodes (ROOT: the prompt's last token) after which a token is chosen, each once, in order."""
    return sorted(set(tree.parents))


def _scores(tree: TokenTree, logits: Any) -> Scores:
    import torch

    places = {parent: place for place, parent in enumerate(_parents(tree))}
    rows = [places[parent] for parent in tree.parents]
    found = logits[rows, list(tree.tokens)].double().cpu().numpy()
    if not np.isfinite(found).all():
        raise ModelFault("the model's output is not a number", "its weights may be damaged, or its dtype too narrow")
    totals = torch.logsumexp(logits.float(), dim=-1).double().cpu().numpy()
    return Scores(found, totals[rows])


assert ROOT == -1  # a parent's row is counted from the first node's, and the prompt's last token stands before that
