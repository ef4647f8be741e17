"""The model, its cache and its adapters, and one forward pass over pieces of many sequences. For one thread only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wisen.core.errors import SettingsError
from wisen.models.engine import CHUNK
from wisen.models.engine.arena import Arena, Prefixes
from wisen.models.engine.attention import NAME, Plan, Span, register
from wisen.models.engine.linears import Linears
from wisen.models.pretrained import Pretrained

PROBE = 3 * CHUNK + 5  # tokens of the check at load
_TOLERANCE = {"float32": 2e-3, "bfloat16": 6e-2, "float16": 2e-2, "float64": 1e-6}


@dataclass(frozen=True, eq=False)
class Piece:
    """Tokens of one sequence for one pass: one token, or a multiple of `CHUNK` with filling.

    place: of its sequence in the arena. start: how many tokens stand before. ids, positions: of each token. mask: as in
    `Span`; None for one token. wanted: which rows' results are asked for.
    """

    place: int
    start: int
    ids: tuple[int, ...]
    positions: tuple[int, ...]
    mask: Any
    wanted: tuple[int, ...]
    owner: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """Of the rows that a piece wanted: logits [wanted, vocabulary] and the last hidden states [wanted, d]; None where
    nobody in the pass wanted any."""

    logits: Any
    hidden: Any


class Core:
    """Takes over the attention of a loaded model. Raises `SettingsError` where that gives other results than before."""

    def __init__(self, loaded: Pretrained) -> None:
        import torch

        self.loaded = loaded
        self.device = loaded.model.device
        self.linears = Linears(loaded.model)
        self.adapters: dict[str, str] = {}  # names, and the digest of what was loaded under them
        self._hidden: Any = None
        self._dummy = torch.zeros(1, 1, 1, 1, device=self.device)  # a mask that transformers leaves as it is
        self._causal = self._make_causal(PROBE)
        self._prepare()

    @property
    def width(self) -> int:
        return self.loaded.width

    def size(self, places: int) -> None:
        """Make the cache for this many tokens, and forget what the check left."""
        places = -(-places // CHUNK) * CHUNK
        self.arena = Arena(places + CHUNK)
        self.prefixes = Prefixes(self.arena)
        self._causal = self._make_causal(places)

    def causal(self, start: int) -> Any:
        """[CHUNK, start + CHUNK] the mask of a chunk that begins at `start`."""
        reach = self._causal.shape[1] - CHUNK
        return self._causal[:, reach - start :]

    def run(self, pieces: Sequence[Piece]) -> list[Result]:
        """One forward pass; a result for each piece. It is filled up with rows that mean nothing, so that shapes are
        few."""
        import torch

        ids: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        wanted: list[int] = []
        spans: list[Span] = []
        owned: dict[str, list[int]] = {}
        parts: dict[Piece, slice] = {}
        for piece in sorted(pieces, key=lambda piece: len(piece.ids) == 1):  # chunks first: a tile is of one chunk
            first, size = len(ids), len(piece.ids)
            begin = piece.place + piece.start
            ids += piece.ids
            positions += piece.positions
            places += range(begin, begin + size)
            if piece.owner:
                owned.setdefault(piece.owner, []).extend(range(first, first + size))
            spans.append(self._span(piece, first))
            parts[piece] = slice(len(wanted), len(wanted) + len(piece.wanted))
            wanted += [first + row for row in piece.wanted]
        count = len(ids)
        filling = -count % self.linears.multiple
        ids += [0] * filling
        positions += [0] * filling
        places += [self.arena.nowhere] * filling

        def tensor(values: Sequence[int]) -> Any:
            return torch.tensor(values, device=self.device)

        self.linears.use({owner: tensor(rows) for owner, rows in owned.items()})
        kept = [*wanted, *[0] * (-len(wanted) % self.linears.multiple)]
        plan = Plan(self.arena, tensor(places), spans, len(ids))
        given = {
            "input_ids": tensor(ids)[None],
            "position_ids": tensor(positions)[None],
            "attention_mask": self._dummy,
            "use_cache": False,
            "wisen_plan": plan,
        }
        with torch.inference_mode():
            if not wanted:
                self.loaded.model.base_model(**given)
                return [Result(None, None)] * len(pieces)
            if "logits_to_keep" in self.loaded.takes:
                logits = self.loaded.model(**given, logits_to_keep=tensor(kept)).logits[0]
            else:
                logits = self.loaded.model(**given).logits[0, tensor(kept)]
            states = self._hidden[0, tensor(kept)]
        return [Result(logits[parts[piece]], states[parts[piece]]) for piece in pieces]

    def _span(self, piece: Piece, first: int) -> Span:
        import torch

        positions = None
        if piece.mask is not None and self._windowed:
            known = torch.arange(piece.start, device=self.device)
            positions = torch.cat([known, torch.tensor(piece.positions, device=self.device)])
        length = piece.start + len(piece.ids)
        return Span(first, len(piece.ids), piece.place, length, piece.mask, positions)

    def _make_causal(self, places: int) -> Any:
        """[CHUNK, places + CHUNK]: the last columns are the mask of a chunk, whatever it begins at."""
        import torch

        reach = -(-places // CHUNK) * CHUNK
        own = torch.full((CHUNK, CHUNK), float("-inf"), dtype=self.loaded.model.dtype).triu(1)
        return torch.cat([torch.zeros(CHUNK, reach, dtype=own.dtype), own], dim=1).to(self.device)

    def _prepare(self) -> None:
        """Take over the model's attention, and see that it gives what it gave before."""
        import torch

        model = self.loaded.model
        config = model.config.get_text_config()
        self._windowed = bool(getattr(config, "sliding_window", None))
        length = min(PROBE, (self.loaded.context or PROBE) - 1)
        noise = torch.Generator().manual_seed(0)
        ids = torch.randint(0, min(self.loaded.width, 10_000), (length,), generator=noise)
        refused = SettingsError(
            f"{self.loaded.source} computes attention in a way of its own",
            "models of this architecture cannot be served",
        )
        with torch.inference_mode():
            expected = model(input_ids=ids[None].to(self.device), use_cache=False).logits[0].float()
        if not model._supports_attention_backend:
            raise refused
        register()
        model.set_attn_implementation(NAME)
        model.base_model.register_forward_hook(self._keep)
        if self.device.type == "cpu":
            self.linears.settle()
        self.arena = Arena(PROBE + 2 * CHUNK)
        try:
            found = self._probe(tuple(ids.tolist()))
        except (SettingsError, TypeError, AttributeError, KeyError) as error:
            raise refused from error
        scale = max(1.0, float(expected.abs().max()))
        tolerance = _TOLERANCE.get(str(model.dtype).removeprefix("torch."), 6e-2) * scale
        if bool(torch.isfinite(expected).all()) and not bool(((found - expected).abs() <= tolerance).all()):
            raise refused

    def _keep(self, module: Any, given: Any, result: Any) -> None:
        self._hidden = result[0]

    def _probe(self, ids: tuple[int, ...]) -> Any:
        """[len(ids), vocabulary] logits: whole chunks in one pass, and then token by token."""
        import torch

        whole = len(ids) // CHUNK * CHUNK
        pieces = [
            Piece(0, at, ids[at : at + CHUNK], tuple(range(at, at + CHUNK)), self.causal(at), tuple(range(CHUNK)))
            for at in range(0, whole, CHUNK)
        ]
        found = self.run(pieces) if pieces else []
        for at in range(whole, len(ids)):
            found += self.run([Piece(0, at, (ids[at],), (at,), None, (0,))])
        return torch.cat([each.logits.float() for each in found])
