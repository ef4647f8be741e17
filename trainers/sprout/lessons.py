"""Questions that a generated world asks: the very messages that the agent sends, and the answer that is right.

The questions of one lesson share the beginning of their prompt (memory and page), which is read once.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wisen.core.prompts import compact, history_line
from wisen.core.records import MemoryItem, Message, Observation
from wisen.trainers.sprout.kinds import KINDS, TRAIN_KINDS
from wisen.trainers.sprout.notes import about, item, played, workflow
from wisen.trainers.sprout.pages import TRAIN_PAGES, pages
from wisen.trainers.sprout.phrases import WAY_PHRASES
from wisen.trainers.sprout.ways import Custom, Way, custom
from wisen.trainers.sprout.words import Lexicon
from wisen.trainers.sprout.world import World


@dataclass(frozen=True)
class Ask:
    """A question: `options` to choose among (empty: a text is to be written), the answer, and what skill it needs.
    `fair`: all answers that are right, empty for the one. `rivals`: of a text to be written, what else it could have
    been, where that is what matters."""

    messages: tuple[Message, ...]
    options: tuple[str, ...]
    answer: str
    skill: str
    fair: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mix:
    """How hard lessons are, in [0, 1], and how many notes at most."""

    ease: float = 0.5
    notes: int = 3
    candidates: int = 5
    questions: int = 3
    wrong: float = 0.08  # share of notes on the very place that are wrong
    outdated: float = 0.04  # share of them whose act is not offered any more


def asked(
    world: World, history: Sequence[str], items: Sequence[MemoryItem], answer: str, skill: str, fair: Sequence[str] = ()
) -> Ask:
    """The question that an agent in this world asks now."""
    seen = world.seen()
    observation = Observation(instruction=world.instruction, text=seen.text, actions=seen.actions)
    return Ask(compact(observation, history, items), seen.actions, answer, skill, tuple(fair))


def page_lesson(draw: random.Random, lexicon: Lexicon, mix: Mix, families: Sequence[str] = ()) -> list[Ask]:
    """A page: several goals at its start, or one somewhere on its way; sometimes with a note on how it was done."""
    family = draw.choice(families or tuple(TRAIN_PAGES))
    items: list[MemoryItem] = []
    if mix.notes and draw.random() < 0.3:
        other = family if draw.random() < 0.6 else draw.choice(tuple(TRAIN_PAGES))
        sibling = pages(draw, lexicon, other, 1)[0]
        if made := workflow(sibling.instruction, played(sibling)):
            items.append(item(*made))
    skill = f"page {family}"
    if draw.random() < 0.55 or family in ("press", "nth", "kind"):
        made_pages = pages(draw, lexicon, family, mix.questions)
        unlike = {one.instruction: one for one in made_pages}
        return [asked(one, [], items, one.right(), skill) for one in unlike.values()]
    page = pages(draw, lexicon, family, 1)[0]
    history: list[str] = []
    found = []
    while not page.done:
        found.append(asked(page, list(history), items, page.right(), skill))
        action = page.right()
        if family in ("ticks", "radio", "choose") and draw.random() < 0.1:
            harmless = [one for one in page.seen().actions if " button " not in one]
            action = draw.choice(harmless or [action])
        history.append(history_line(action, page.act(action)))
        if len(history) > 8:
            break
    return [draw.choice(found[1:] or found)]


def drawn_custom(draw: random.Random, lexicon: Lexicon, mix: Mix, kinds: Sequence[str] = (), places: int = 4) -> Custom:
    kind = KINDS[draw.choice(kinds or TRAIN_KINDS)]
    sites: list[str] = []
    while len(sites) < places:
        site = lexicon.site(draw)
        if all(site not in other and other not in site for other in sites):
            sites.append(site)
    return custom(draw, lexicon, kind, WAY_PHRASES[kind.key][lexicon.side], places=sites, most=max(2, mix.candidates))


@dataclass(frozen=True)
class Claim:
    """A note, the place that it is about, and the ways that it claims."""

    item: MemoryItem
    place: str
    ways: tuple[int, ...]
    role: str


def claims_for(draw: random.Random, made: Custom, mix: Mix, lexicon: Lexicon) -> list[Claim]:
    """Notes about some of the custom's places, most of them right, in random order."""
    places = list(made.ways)
    count = draw.choice((0, 1, 1, 1, 1, 2, 2, 3))
    found = []
    for place in places[: min(count, mix.notes)]:
        ways, role, kind = made.ways[place], "right", draw.random()
        if kind < mix.wrong:
            size = len(made.cast.candidates)
            ways, role = tuple((way + draw.randint(1, size - 1)) % size for way in ways), "wrong"
        elif kind < mix.wrong + mix.outdated:
            role = "outdated"
        teller = made
        if role == "outdated":  # it speaks of what is not offered any more
            teller = _renamed(draw, made, lexicon)
        found.append(Claim(about(draw, teller, place, ways), place, ways, role))
    if mix.notes and draw.random() < 0.3:
        other = drawn_custom(draw, lexicon, mix, places=1)
        place = next(iter(other.ways))
        found.append(Claim(about(draw, other, place, other.ways[place]), "", (), "other"))
    draw.shuffle(found)
    return found[: max(mix.notes, 0)]


def _renamed(draw: random.Random, made: Custom, lexicon: Lexicon) -> Custom:
    names = lexicon.names(draw, len(made.cast.candidates), word=True)
    return replace(made, cast=replace(made.cast, candidates=tuple(names)))


def way_lesson(draw: random.Random, lexicon: Lexicon, mix: Mix, kinds: Sequence[str] = ()) -> list[Ask]:
    """Tasks at several places with the same notes on the same page: whose note is it?"""
    made = drawn_custom(draw, lexicon, mix, kinds)
    claims = claims_for(draw, made, mix, lexicon)
    known = {claim.place: claim for claim in claims if claim.role in ("right", "wrong")}
    errors = draw.choices((0, 1, 2), (0.48, 0.36, 0.16))[0]
    seed = draw.getrandbits(32)
    others = [place for place in made.ways if place not in known]
    # Where nothing tells the way there is little to learn: one such question beside those that a note answers.
    places = [*(place for place in made.ways if place in known), draw.choice(others)][: mix.questions]
    found: list[Ask] = []
    for place in places:
        ask = way_question(random.Random(seed), made, place, claims, errors, random.Random(seed + 1))
        if ask is not None:
            found.append(ask)
    if draw.random() < 0.15:  # and what comes after it
        found = [later_question(draw, made, places[0], claims)]
    return found or way_lesson(draw, lexicon, mix, kinds)


def way_question(
    layout: random.Random,
    made: Custom,
    place: str,
    claims: Sequence[Claim],
    errors: int,
    picks: random.Random,
) -> Ask | None:
    """The question at a hidden stage after so many errors; None where there is nothing left to find out."""
    world = made.task(layout, place)
    history = _until_hidden(world)
    claimed = next((one for one in claims if one.place == place and one.role in ("right", "wrong")), None)
    advised = ""
    if claimed is not None:
        hidden = sum(one.hidden for one in world.stages[: world.at])
        advised = world.stage.candidates[claimed.ways[hidden]]
    for number in range(errors):
        wrong = [action for action in world.fair() if action != world.right()]
        if len(world.fair()) <= 1 or not wrong:
            return None
        action = advised if advised in wrong and number == 0 else picks.choice(wrong)
        if world.errors >= world.lives:
            return None
        history.append(history_line(action, world.act(action)))
    fair = world.fair()
    if advised in fair:
        assert claimed is not None
        others = "several" if len(claims) > 1 else "one"
        return asked(world, history, _items(claims), advised, f"note {others}" if not errors else "note, late")
    role = "none" if not claims else claimed.role if claimed else "irrelevant"
    skill = f"way {role}" if not errors else f"recover {role}"
    return asked(world, history, _items(claims), picks.choice(fair), skill, fair)


def later_question(draw: random.Random, made: Custom, place: str, claims: Sequence[Claim]) -> Ask:
    """Somewhere at a stage that is not hidden, where there is one."""
    world = made.task(draw, place)
    history: list[str] = []
    found = []
    while not world.done:
        if len(world.fair()) == 1:
            found.append(asked(world, list(history), _items(claims), world.right(), "stage"))
        elif draw.random() < 0.3 and world.errors < world.lives:
            action = draw.choice([one for one in world.fair() if one != world.right()])
            history.append(history_line(action, world.act(action)))
            continue
        action = world.right()
        history.append(history_line(action, world.act(action)))
    if not found:
        ask = way_question(draw, made, place, claims, 0, draw)
        assert ask is not None
        return ask
    return draw.choice(found)


def _until_hidden(world: Way) -> list[str]:
    history = []
    while not world.stage.hidden:
        action = world.right()
        history.append(history_line(action, world.act(action)))
    return history


def _items(claims: Sequence[Claim]) -> list[MemoryItem]:
    return [claim.item for claim in claims]
