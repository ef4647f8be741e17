"""Linear layers whose rows do not depend on one another, with the adapters of whoever a row belongs to.

A matrix product rounds its last digits by the shape that its kernel was chosen for. So it is tried out at load, with
the model's own layers, whether a row is the same in every shape (it is with MKL on x86, from four rows on); where it is
not, products are computed in tiles of one shape.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wisen.core.errors import SettingsError
from wisen.models.engine import CHUNK

ROWS = 8  # fewer rows than this have kernels of their own
TRIED = (ROWS, CHUNK, 5 * ROWS, 16 * ROWS)


class Linears:
    """The model's linear layers. `use` says before each pass which rows belong to which adapter."""

    def __init__(self, model: Any) -> None:
        self._modules = {name: module for name, module in model.named_modules() if _is_linear(module)}
        self._head = model.get_output_embeddings()
        self._plain: dict[str, Callable[[Any], Any]] = {}
        self._loras: dict[str, dict[str, tuple[Any, Any, float]]] = {}  # by layer, then adapter
        self._rows: Mapping[str, Any] = {}
        self._adapters: set[str] = set()
        self.tiled = False
        self.invariant = True

    @property
    def multiple(self) -> int:
        """What the rows of a pass are filled up to a multiple of."""
        return CHUNK if self.tiled else ROWS

    def settle(self) -> None:
        """Find out whether rows depend on the shape, and compute in tiles if they do."""
        shapes: dict[tuple[int, ...], Any] = {}
        for module in self._modules.values():
            shapes.setdefault(tuple(module.weight.shape), module)
        layers = [module.forward for module in shapes.values()]
        widths = [_width(module) for module in shapes.values()]
        samples = [module.weight for module in shapes.values()]
        cases = list(zip(layers, widths, samples, strict=True))
        if all(_independent(layer, width, like, TRIED) for layer, width, like in cases):
            return
        self.tiled = True
        self.invariant = all(_independent(layer, width, like, (CHUNK,)) for layer, width, like in cases)
        for name in self._modules:
            self._wrap(name)

    def __contains__(self, adapter: str) -> bool:
        return adapter in self._adapters

    def add(self, adapter: str, layers: Mapping[str, tuple[Any, Any, float]]) -> None:
        """(A [r, in], B [out, r], scale) by the name of the layer that it is added to. Raises `SettingsError`."""
        for name, (down, up, _) in layers.items():
            module = self._modules.get(name)
            if module is None or module is self._head:
                raise SettingsError(
                    f"adapter {adapter} changes {name}, which is no linear layer of this model's blocks"
                )
            if (down.shape[1], up.shape[0]) != _sizes(module):
                raise SettingsError(f"adapter {adapter} was trained for a model of another shape", f"at {name}")
        for name, (down, up, scale) in layers.items():
            like = self._modules[name].weight
            parts = (down.to(like), up.to(like), scale)
            self._loras.setdefault(name, {})[adapter] = parts
            self._wrap(name)
        self._adapters.add(adapter)

    def drop(self, adapter: str) -> None:
        """Forget an adapter's weights."""
        self._adapters.discard(adapter)
        for loras in self._loras.values():
            loras.pop(adapter, None)

    def use(self, rows: Mapping[str, Any]) -> None:
        """The rows of the pass to come that each adapter changes, a tensor of indices per adapter. Raises `ValueError`
        for an adapter that is not here: its rows would be the base's."""
        if strange := rows.keys() - self._adapters:
            raise ValueError(f"no adapter {', '.join(sorted(strange))} is loaded")
        self._rows = rows

    def _wrap(self, name: str) -> None:
        if name in self._plain:
            return
        module = self._modules[name]
        plain = self._plain[name] = module.forward

        def forward(states: Any) -> Any:
            result = self._apply(plain, states)
            loras = self._loras.get(name)
            if loras:
                for adapter, rows in self._rows.items():
                    if adapter in loras:
                        self._change(result, states, rows, *loras[adapter])
            return result

        module.forward = forward

    def _apply(self, layer: Callable[[Any], Any], states: Any) -> Any:
        import torch

        if not self.tiled or states.shape[-2] == CHUNK:
            return layer(states)
        return torch.cat([layer(part) for part in states.split(CHUNK, dim=-2)], dim=-2)

    def _change(self, result: Any, states: Any, rows: Any, down: Any, up: Any, scale: float) -> None:
        import torch

        count = len(rows)
        filled = torch.cat([rows, rows[-1:].expand(-count % self.multiple)])
        change = self._apply(lambda part: torch.nn.functional.linear(part, down), states[0, filled])
        change = self._apply(lambda part: torch.nn.functional.linear(part, up), change)
        result[0, rows] += (change * scale)[:count].to(result.dtype)


def _is_linear(module: Any) -> bool:
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | Conv1D)


def _sizes(module: Any) -> tuple[int, int]:
    import torch

    shape = tuple(module.weight.shape)
    return (shape[1], shape[0]) if isinstance(module, torch.nn.Linear) else (shape[0], shape[1])


def _width(module: Any) -> int:
    return _sizes(module)[0]


def _independent(layer: Callable[[Any], Any], width: int, like: Any, counts: Sequence[int]) -> bool:
    """Whether one row comes out the same in every place of every number of rows."""
    import torch

    noise = torch.Generator().manual_seed(0)
    row = torch.randn(1, width, generator=noise)
    expected = None
    with torch.inference_mode():
        for count in counts:
            rows = torch.randn(count, width, generator=noise)
            for place in {0, 1, count // 2, count - 1}:
                trial = rows.clone()
                trial[place] = row
                found = layer(trial.to(like)[None])[0, place]
                if expected is None:
                    expected = found
                elif not torch.equal(found, expected):
                    return False
    return True
