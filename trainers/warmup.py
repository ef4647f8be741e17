"""Procedural warm-up: a backbone that knows nothing learns to find the name that a goal mentions among those of a page.

The pages are made up: random roles, random names, goals of random words around a name. Nothing of any suite's tasks is
in them (no instruction, no label, no order of actions); what they teach is copying, which a small model otherwise
learns slowly from rewards.
"""

import random
import string
from collections.abc import Sequence
from pathlib import Path

from wisen.core.ids import derived_seed
from wisen.core.records import Checkpoint, Record, SpanKind
from wisen.models.quiet import quiet_transformers
from wisen.models.tokens import Codec
from wisen.trainers.checkpoints import save_checkpoint
from wisen.trainers.dataset import Row
from wisen.trainers.loop import LoopSettings, Progress, train

ROLES = ("button", "link", "radio", "checkbox", "tab", "menuitem", "option")
SYLLABLES = tuple(consonant + vowel for consonant in "bcdfghjklmnprstvz" for vowel in "aeiou")
MOST_ELEMENTS = 8
# Small pages first: on these a name's copy is found within some 200,000 tokens, on full ones not within 700,000.
STAGES = ((0.4, 3, 0), (0.3, 5, 2), (0.3, MOST_ELEMENTS, 2))  # share of the pages, most elements, most lines of text
FILLERS = tuple(
    "a an and any at box by choose click entry field find for from go in into it item labeled list mark name now of on "
    "one open page pick please press select so submit that the then this to use with you".split()
)


class WarmupSettings(Record):
    """`pages` made-up pages, each seen once (0: no warm-up), with `questions` goals each."""

    pages: int = 7000
    questions: int = 3
    threads: int = 2
    loop: LoopSettings = LoopSettings(batch_tokens=1024)


def warm_up(
    folder: Path, out: Path, settings: WarmupSettings, *, seed: int, on_progress: Progress | None = None
) -> Checkpoint:
    """A checkpoint at `out`: the weights in `folder`, trained on made-up pages."""
    import torch
    from transformers import AutoModelForCausalLM

    quiet_transformers()
    codec = Codec.load(folder)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    stages = made_up_stages(codec, settings, seed=seed)
    result = train(model, stages, settings.loop, pad_id=codec.pad_id, seed=seed, on_progress=on_progress)
    recipe = {
        "algorithm": "warm-up on made-up pages",
        "settings": settings.model_dump(),
        "seed": seed,
        "tokens": result.tokens,
        "last_loss": round(result.last_loss, 4),
    }
    return save_checkpoint(model, folder, out, parent=folder.name, recipe=recipe)


def made_up_stages(codec: Codec, settings: WarmupSettings, *, seed: int) -> list[list[Row]]:
    """The pages in the order of their size, one list per stage."""
    stages = []
    for number, (share, elements, texts) in enumerate(STAGES):
        draws = (
            random.Random(derived_seed(seed, "page", number, page)) for page in range(round(share * settings.pages))
        )
        stages.append([made_up_row(codec, draw, settings.questions, elements, texts) for draw in draws])
    return stages


def made_up_row(
    codec: Codec, draw: random.Random, questions: int = 3, elements: int = MOST_ELEMENTS, texts: int = 2
) -> Row:
    """A page with several goals, each followed by the act that answers it; every token of the answers carries loss."""
    names, page, options = made_up_page(draw, elements, texts)
    ids = [*codec.span(SpanKind.OBSERVATION, "\n".join(page))]
    trained: list[int] = []
    for choice in draw.sample(range(len(names)), min(questions, len(names))):
        ids += codec.span(SpanKind.HISTORY, "")
        ids += [*codec.span(SpanKind.TASK, made_up_goal(draw, names[choice])), codec.act_id]
        answer = codec.option(options[choice])
        trained += range(len(ids), len(ids) + len(answer))
        ids += answer
    return Row(tuple(ids), tuple(trained), ((),) * len(trained), "made-up")


def made_up_page(
    draw: random.Random, elements: int = MOST_ELEMENTS, texts: int = 2
) -> tuple[Sequence[str], list[str], list[str]]:
    """(names, lines of the page, one option per name), with at most so many elements and lines of text."""
    names = _names(draw, draw.randint(2, elements))
    if draw.random() < 0.3:  # one list with options
        lines = ["combobox", *(f'option "{name}"' for name in names)]
        options = [f'select combobox 1 "{name}"' for name in names]
    else:
        roles = [draw.choice(ROLES) for _ in names] if draw.random() < 0.5 else [draw.choice(ROLES)] * len(names)
        lines = [f'{role} "{name}"' for role, name in zip(roles, names, strict=True)]
        options = [f'click {role} "{name}"' for role, name in zip(roles, names, strict=True)]
    for _ in range(draw.randint(0, texts)):
        lines.insert(draw.randint(0, len(lines)), f'text "{" ".join(_words(draw, draw.randint(1, 6)))}"')
    return names, lines, options


def made_up_goal(draw: random.Random, name: str) -> str:
    """A name among common words, quoted or not."""
    mention = f'"{name}"' if draw.random() < 0.5 else name
    before, after = draw.choices(FILLERS, k=draw.randint(1, 5)), draw.choices(FILLERS, k=draw.randint(0, 5))
    return " ".join([before[0].capitalize(), *before[1:], mention, *after]) + "."


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
