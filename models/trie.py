"""Options as a tree of tokens: one pass over the tree gives every option's probability under constrained decoding.

At each point only tokens that continue some option are allowed, and the model's distribution is renormalised over them.
An option's probability is the product along its path, and all options' probabilities sum to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROOT = -1


@dataclass(frozen=True)
class TokenTree:
    """tokens[i] with its parent node (`ROOT` for the first of an option) and its depth, parents before children.
    paths[k]: the nodes of option k. children[p]: the nodes that may follow p."""

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    paths: tuple[tuple[int, ...], ...]
    children: dict[int, tuple[int, ...]]

    @classmethod
    def of(cls, options: Sequence[Sequence[int]]) -> "TokenTree":
        """Raises `ValueError` if there is no option, an empty one, or one that is the beginning of another."""
        if not options or any(len(option) == 0 for option in options):
            raise ValueError("a choice needs options, and none of them empty")
        tokens: list[int] = []
        parents: list[int] = []
        depths: list[int] = []
        index: dict[tuple[int, int], int] = {}
        paths = []
        for option in options:
            node, path = ROOT, []
            for depth, token in enumerate(option):
                following = index.get((node, token))
                if following is None:
                    following = index[node, token] = len(tokens)
                    tokens.append(token)
                    parents.append(node)
                    depths.append(depth)
                node = following
                path.append(node)
            paths.append(tuple(path))
        children: dict[int, list[int]] = {}
        for node, parent in enumerate(parents):
            children.setdefault(parent, []).append(node)
        leaves = [path[-1] for path in paths]
        if len(set(leaves)) < len(leaves) or any(leaf in children for leaf in leaves):
            raise ValueError("two options are the same, or one is the beginning of another")
        return cls(
            tuple(tokens),
            tuple(parents),
            tuple(depths),
            tuple(paths),
            {key: tuple(value) for key, value in children.items()},
        )

    def ancestry(self) -> NDArray[np.bool_]:
        """[n, n]: whether node j is node i or an ancestor of it, i.e. whether i may attend to j."""
        size = len(self.tokens)
        sees = np.eye(size, dtype=np.bool_)
        for node, parent in enumerate(self.parents):
            if parent != ROOT:
                sees[node] |= sees[parent]
        return sees

    def logprobs(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """[n] log-probability of each node given its parent, from [n] logits of each node's token at its parent."""
        result = np.empty_like(scores)
        for siblings in self.children.values():
            values = scores[list(siblings)]
            top = values.max()
            result[list(siblings)] = values - (top + np.log(np.exp(values - top).sum()))
        return result

    def allowed(self, path: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """For each node of a path, the tokens that were admissible in its place."""
        return tuple(tuple(self.tokens[node] for node in self.children[self.parents[step]]) for step in path)
