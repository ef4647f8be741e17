"""Memory items about generated worlds, as the distillers write them: right, others', outdated and wrong ones."""

import random
from collections.abc import Sequence

from wisen.core.records import Action, Author, ItemKind, MemoryItem
from wisen.memory.distillers.abstraction import Abstraction, abstraction
from wisen.memory.items import make_item
from wisen.trainers.sprout.ways import Custom
from wisen.trainers.sprout.words import Side
from wisen.trainers.sprout.world import World

STYLES = ("workflow", "warning", "sentence")
SENTENCES = {
    Side.TRAIN: (
        "Use {y}.",
        "{y} is right here.",
        "Take {y}, not {x}.",
        "{x} fails, {y} works.",
        "Here it is {y}.",
        "Choose {y}: {x} was refused.",
        "What worked: {y}.",
    ),
    Side.HELD: ("Go for {y}.", "{y} did it, {x} did not.", "They want {y}."),
}


def played(world: World) -> list[Action]:
    """The right actions to the end. The world is used up."""
    actions = []
    while not world.done:
        action = world.right()
        actions.append(Action(text=action))
        world.act(action)
    return actions


def workflow(instruction: str, actions: Sequence[Action]) -> tuple[str, str] | None:
    """(when_to_use, content) as the extractive distiller writes them; None where it would write nothing."""
    found = abstraction(instruction, actions)
    if any(found.leftovers(action) for action in actions):
        return None
    return found.pattern, "; ".join(found.action(action) for action in actions)


def warning(instruction: str, actions: Sequence[Action], at: int, wrong: Action) -> tuple[str, str]:
    """(when_to_use, content) of the extractive distiller's warning about step `at`."""
    found = abstraction(instruction, [*actions, wrong])
    before = "; ".join(found.action(action) for action in actions[:at])
    where = f"After {before}" if before else "At the start"
    return found.pattern, f"{where}: {found.action(wrong)} failed, {found.action(actions[at])} worked."


def about(draw: random.Random, custom: Custom, place: str, ways: Sequence[int], style: str = "") -> MemoryItem:
    """An item about a place of a custom that claims these ways, drawn from another task there."""
    task = custom.task(draw, place, ways)
    instruction, stages = task.instruction, task.stages
    hidden = [index for index, stage in enumerate(stages) if stage.hidden]
    actions = [Action(text=stage.right) for stage in stages]
    style = style or draw.choice(STYLES)
    if style == "workflow" and (made := workflow(instruction, actions)):
        return item(*made, kind=ItemKind.WORKFLOW)
    at = draw.choice(hidden)
    wrong = draw.choice([action for action in stages[at].candidates if action != stages[at].right])
    if style != "sentence":
        return item(*warning(instruction, actions, at, Action(text=wrong)), kind=ItemKind.WARNING)
    found: Abstraction = abstraction(instruction, actions)
    said = []
    for index in hidden:
        stage = stages[index]
        named = dict(zip(stage.candidates, stage.names, strict=True))
        other = draw.choice([name for action, name in named.items() if action != stage.right])
        said.append(draw.choice(SENTENCES[custom.lexicon.side]).format(y=named[stage.right], x=other))
    return item(found.pattern, " ".join(said), kind=ItemKind.STRATEGY)


def item(when_to_use: str, content: str, *, kind: ItemKind = ItemKind.WORKFLOW) -> MemoryItem:
    return make_item(
        kind=kind,
        title=when_to_use[:80],
        when_to_use=when_to_use,
        content=content,
        author=Author(distiller="extractive"),
        evidence=(),
        source_tasks=(),
    )
