import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wisen.models.trie import ROOT, TokenTree

END = 9
Options = list[tuple[int, ...]]

bodies = st.lists(st.integers(0, 3), max_size=5).map(tuple)
closed_options = st.lists(bodies, min_size=1, max_size=8, unique=True).map(
    lambda found: [(*body, END) for body in found]
)
seeds = st.integers(0, 2**32 - 1)


def logit(prefix: tuple[int, ...], token: int, seed: int) -> float:
    """What some model thinks of a token after a prefix: any number, always the same."""
    return float(np.random.default_rng([seed, len(prefix), token, *prefix]).normal(scale=4))


def scores_of(tree: TokenTree, options: Options, seed: int) -> np.ndarray:
    scores = np.full(len(tree.tokens), np.nan)
    for option, path in zip(options, tree.paths, strict=True):
        for depth, node in enumerate(path):
            scores[node] = logit(option[:depth], option[depth], seed)
    return scores


def naive(options: Options, option: tuple[int, ...], seed: int) -> tuple[list[float], list[set[int]]]:
    """Token by token: which tokens continue some option, and the softmax over those."""
    logprobs, admitted = [], []
    for depth, token in enumerate(option):
        prefix = option[:depth]
        allowed = {other[depth] for other in options if other[:depth] == prefix and len(other) > depth}
        total = math.log(sum(math.exp(logit(prefix, candidate, seed)) for candidate in allowed))
        logprobs.append(logit(prefix, token, seed) - total)
        admitted.append(allowed)
    return logprobs, admitted


@given(closed_options, seeds)
def test_one_pass_gives_what_decoding_token_by_token_gives(options: Options, seed: int) -> None:
    tree = TokenTree.of(options)
    nodes = tree.logprobs(scores_of(tree, options, seed))
    for option, path in zip(options, tree.paths, strict=True):
        expected, admitted = naive(options, option, seed)
        assert nodes[list(path)] == pytest.approx(expected, abs=1e-9)
        assert [set(tokens) for tokens in tree.allowed(path)] == admitted
        assert tuple(tree.tokens[node] for node in path) == option


@given(closed_options, seeds)
def test_the_probabilities_of_the_options_sum_to_one(options: Options, seed: int) -> None:
    tree = TokenTree.of(options)
    nodes = tree.logprobs(scores_of(tree, options, seed))
    assert sum(math.exp(nodes[list(path)].sum()) for path in tree.paths) == pytest.approx(1.0)


def test_logits_of_any_size_give_finite_probabilities() -> None:
    tree = TokenTree.of([(1, END), (2, END)])
    for scores in ([1000.0, 0.0, -1000.0, 0.0], [-1e4, 5.0, -1e4, 5.0]):
        assert np.isfinite(tree.logprobs(np.array(scores))).all()


@given(closed_options)
def test_shared_beginnings_are_one_node_and_parents_come_first(options: Options) -> None:
    tree = TokenTree.of(options)
    prefixes = {option[: depth + 1] for option in options for depth in range(len(option))}
    assert len(tree.tokens) == len(prefixes)
    for node, parent in enumerate(tree.parents):
        assert parent < node
        assert tree.depths[node] == (0 if parent == ROOT else tree.depths[parent] + 1)


@given(closed_options)
def test_a_node_sees_itself_and_its_ancestors_and_nothing_else(options: Options) -> None:
    tree = TokenTree.of(options)
    sees = tree.ancestry()
    for path in tree.paths:
        for depth, node in enumerate(path):
            assert set(np.flatnonzero(sees[node])) == set(path[: depth + 1])


@pytest.mark.parametrize(
    "options", [[], [()], [(1, 2), ()], [(1, 2), (1, 2)], [(1, 2), (1,)], [(1,), (1, 2)], [(3,), (1, 2), (1, 2, 4)]]
)
def test_options_that_cannot_be_told_apart_are_refused(options: Options) -> None:
    with pytest.raises(ValueError, match=r"option"):
        TokenTree.of(options)
