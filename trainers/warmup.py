"""Procedural warm-up: a backbone that knows nothing learns to find the name that a goal mentions among what a page lists.

The pages are made up: random roles, random names, goals of random words around a name. Nothing of any suite's tasks is in
them (no instruction, no label, no order of actions); what they teach is copying, which a small model otherwise learns
slowly from rewards.
"""

import random
import string
from collections.abc import Sequence
from pathlib import Path

from wisen.core.ids import derived_seed
from wisen.core.records import (
    Checkpoint,
    Message,
    ModelRequest,
    Purpose,
    Record,
    Role,
    Span,
    SpanKind,
)
from wisen.models.tokens import Codec
from wisen.models.trie import TokenTree
from wisen.trainers.checkpoints import save_checkpoint
from wisen.trainers.dataset import Row
from wisen.trainers.loop import LoopSettings, Progress, train

ROLES = ("button", "link", "radio", "checkbox", "tab", "menuitem", "option")
SYLLABLES = tuple(consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in "aeiou")
MOST_ELEMENTS = 8


class WarmupSettings(Record):
    """`rows` made-up decisions, each seen once (0: no warm-up)."""

    rows: int = 8000
    threads: int = 2
    loop: LoopSettings = LoopSettings()


def warm_up(folder: Path, out: Path, settings: WarmupSettings, *, seed: int, on_progress: Progress | None = None) -> Checkpoint:
    """A checkpoint at `out`: the weights in `folder`, trained on made-up pages."""
    import torch
    from transformers import AutoModelForCausalLM

    codec = Codec.load(folder)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = made_up_rows(codec, settings.rows, seed=seed)
    result = train(model, [rows], settings.loop, pad_id=codec.pad_id, seed=seed, on_progress=on_progress)
    recipe = {
        "algorithm": "warm-up on made-up pages",
        "settings": settings.model_dump(),
        "seed": seed,
        "tokens": result.tokens,
        "last_loss": round(result.last_loss, 4),
    }
    return save_checkpoint(model, folder, out, parent=folder.name, recipe=recipe)


def made_up_rows(codec: Codec, count: int, *, seed: int) -> list[Row]:
    """`count` decisions on made-up pages, each with its one right answer."""
    return [_row(codec, random.Random(derived_seed(seed, "page", number)), number) for number in range(count)]


def _row(codec: Codec, draw: random.Random, number: int) -> Row:
    request, choice = made_up_request(draw)
    prompt, _ = codec.prompt(request.messages)
    tree = TokenTree.of([codec.option(option) for option in request.options])
    path = tree.paths[choice]
    sampled = tuple(tree.tokens[node] for node in path)
    return Row(prompt, sampled, tree.allowed(path), f"made-up-{number}", 0, "made-up", request, choice)


def made_up_request(draw: random.Random) -> tuple[ModelRequest, int]:
    """(request, index of the right option) for one made-up page."""
    names = _names(draw, draw.randint(2, MOST_ELEMENTS))
    if draw.random() < 0.3:  # one list with options
        lines = ["combobox", *(f'option "{name}"' for name in names)]
        options = [f'select combobox 1 "{name}"' for name in names]
    else:
        roles = [draw.choice(ROLES) for _ in names] if draw.random() < 0.5 else [draw.choice(ROLES)] * len(names)
        lines = [f'{role} "{name}"' for role, name in zip(roles, names, strict=True)]
        options = [f'click {role} "{name}"' for role, name in zip(roles, names, strict=True)]
    for _ in range(draw.randint(0, 2)):
        lines.insert(draw.randint(0, len(lines)), f'text "{" ".join(_words(draw, draw.randint(1, 6)))}"')
    choice = draw.randrange(len(names))
    messages = (
        Message(
            role=Role.USER,
            spans=(
                Span(kind=SpanKind.OBSERVATION, text="\n".join(lines)),
                Span(kind=SpanKind.HISTORY, text=""),
                Span(kind=SpanKind.TASK, text=_goal(draw, names[choice])),
            ),
        ),
    )
    return ModelRequest(purpose=Purpose.ACT, messages=messages, options=tuple(options)), choice


def _goal(draw: random.Random, name: str) -> str:
    mention = f'"{name}"' if draw.random() < 0.5 else name
    return " ".join([*_words(draw, draw.randint(1, 5)), mention, *_words(draw, draw.randint(0, 5))]) + "."


def _words(draw: random.Random, count: int) -> list[str]:
    return ["".join(draw.choice(SYLLABLES) for _ in range(draw.randint(1, 3))) for _ in range(count)]


def _names(draw: random.Random, count: int) -> Sequence[str]:
    """Distinct names: words, capitalised words, pairs of words, and strings such as passwords are made of."""
    names: dict[str, None] = {}
    while len(names) < count:
        kind = draw.random()
        if kind < 0.4:
            name = _words(draw, 1)[0]
        elif kind < 0.6:
            name = _words(draw, 1)[0].capitalize()
        elif kind < 0.7:
            name = " ".join(word.capitalize() for word in _words(draw, 2))
        else:
            name = "".join(draw.choice(string.ascii_letters + string.digits) for _ in range(draw.randint(1, 7)))
        names[name] = None
    return tuple(names)
