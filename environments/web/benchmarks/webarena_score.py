"""How a WebArena episode has ended, by the task's rules: the answer, the address, the content of pages."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from wisen.core.records import FOR_THE_JUDGE
from wisen.environments.web.benchmarks import webarena_programs as programs
from wisen.environments.web.benchmarks.webarena_rules import all_included, arrived, same, shown
from wisen.environments.web.ending import Ending, Scored

KINDS = frozenset({"string_match", "url_match", "program_html"})
LAST = "last"  # the page that was stopped on
IMPOSSIBLE = "N/A"
_SCRIPTS = ("document.", "[...document.")


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Answers(_Read):
    exact_match: str | None = None
    must_include: tuple[str, ...] = ()
    fuzzy_match: tuple[str, ...] | str = ()


class Contents(_Read):
    exact_match: str | None = None
    must_include: tuple[str, ...] = ()

    def held_by(self, content: str) -> bool:
        if self.exact_match is not None:
            return same(self.exact_match, content)
        return shown(self.must_include, content)


class Target(_Read):
    """A page to look at, what of it, and what it must hold."""

    url: str
    locator: str
    required_contents: Contents
    prep_actions: tuple[str, ...] = ()

    @property
    def unknown(self) -> str:
        """What cannot be done of it, or nothing."""
        for text, known in ((self.url, programs.OF_ADDRESS), (self.locator, programs.OF_PAGE)):
            if text.startswith("func:") and ((call := programs.call(text)) is None or call.name not in known):
                return f"the program {text[5:].partition('(')[0]} is not known"
        if self.locator.strip() and not self.locator.startswith((*_SCRIPTS, "func:")):
            return "a locator is none of WebArena's kinds"
        if self.required_contents.exact_match is None and not self.required_contents.must_include:
            return "a page must hold nothing"
        return ""


class Rules(_Read):
    """A task's `eval`."""

    eval_types: tuple[str, ...]
    reference_answers: Answers | None = None
    reference_url: str | None = None
    url_note: str = "GOLD in PRED"
    program_html: tuple[Target, ...] = ()
    string_note: str = ""

    @property
    def unknown(self) -> str:
        """What cannot be done of it, or nothing."""
        if strange := set(self.eval_types) - KINDS:
            return f"the rule {min(strange)} is not known"
        if not self.eval_types or ("string_match" in self.eval_types and not self._answers):
            return "nothing is asked of their end"
        if "url_match" in self.eval_types and (not self.reference_url or self.url_note != "GOLD in PRED"):
            return "the rule for the address is not known"
        if "program_html" in self.eval_types and not self.program_html:
            return "nothing is asked of their end"
        return next((target.unknown for target in self.program_html if target.unknown), "")

    @property
    def judged(self) -> bool:
        answers = self._answers if "string_match" in self.eval_types else None
        return answers is not None and bool(answers.fuzzy_match)

    @property
    def programs(self) -> frozenset[str]:
        calls = [programs.call(text) for target in self.program_html for text in (target.url, target.locator)]
        return frozenset(call.name for call in calls if call is not None)

    @property
    def _answers(self) -> Answers | None:
        """None also for answers that ask for nothing, which any answer would satisfy."""
        given = self.reference_answers
        return given if given and (given.exact_match is not None or given.must_include or given.fuzzy_match) else None


class Arena:
    """Scores the tasks with these rules (addresses filled in) and intents, by task id. shop: its address."""

    def __init__(self, rules: Mapping[str, Rules], intents: Mapping[str, str], shop: str) -> None:
        self._rules, self._intents, self._shop = rules, intents, programs.Shop(shop)

    async def score(self, ending: Ending) -> Scored:
        """All kinds of rules must hold. None where those that can be applied hold, and a judge must say the rest."""
        rules = self._rules[ending.goal.name]
        held: dict[str, bool | None] = {}
        for kind in rules.eval_types:
            if kind == "string_match":
                held[kind] = answered(rules.reference_answers or Answers(), ending.answer)
            elif kind == "url_match":
                held[kind] = arrived(rules.reference_url or "", ending.url)
            else:
                # What is asked of the page as it is comes first: for the rest it is left.
                targets = sorted(rules.program_html, key=lambda target: target.url != LAST)
                held[kind] = all([await self._holds(target, ending) for target in targets])
        parts = tuple(held.values())
        success = False if False in parts else None if None in parts else True
        info: dict[str, Any] = {"rules": held}
        if success is None:
            info[FOR_THE_JUDGE] = asked_of_judge(rules, self._intents[ending.goal.name])
        return Scored(success=success, info=info)

    async def _holds(self, target: Target, ending: Ending) -> bool:
        if target.url != LAST:
            await ending.visit(await self._address(target.url, ending.url))
        return target.required_contents.held_by(await self._content(target, ending))

    async def _address(self, url: str, last: str) -> str:
        call = programs.call(url)
        if call is None:
            return url
        if call.name == "reddit_get_post_url":
            return programs.post_url(*(one.replace("__last_url__", last) for one in call.given))
        return await asyncio.to_thread(self._shop.latest_order)

    async def _content(self, target: Target, ending: Ending) -> str:
        """What is looked at; nothing where the page has no such thing."""
        from playwright.async_api import Error

        page, call = ending.page, programs.call(target.locator)
        if call is not None and call.name in programs.OF_REVIEW:
            return await asyncio.to_thread(self._shop.latest_review, call.given[0], programs.OF_REVIEW[call.name])
        if call is not None:
            return await programs.role(page, call.given[-1])
        if not target.locator.strip():
            return await page.content()
        try:
            for script in target.prep_actions:
                await page.evaluate(f"() => {{ {script} }}")
        except Error:
            pass  # what it prepares may be so already
        try:
            found = await page.evaluate(f"() => {target.locator}")
        except Error:
            return ""
        return "" if found is None else str(found)


def answered(wanted: Answers, said: str) -> bool | None:
    """Whether an answer is right; None where the rest is for a judge to say."""
    if wanted.fuzzy_match == IMPOSSIBLE and same(IMPOSSIBLE, said):
        return True
    if wanted.exact_match is not None and not same(wanted.exact_match, said):
        return False
    if not all_included(wanted.must_include, said):
        return False
    if not wanted.fuzzy_match:
        return True
    return None if said.strip() else False


def asked_of_judge(rules: Rules, intent: str) -> str:
    """What a judge must know and the agent must not."""
    wanted = rules.reference_answers or Answers()
    if wanted.fuzzy_match == IMPOSSIBLE:
        return (
            f"The task cannot be done: {rules.string_note}\n"
            "It counts as done if the agent's answer says so for this reason, be it implicitly."
        )
    answers = (wanted.fuzzy_match,) if isinstance(wanted.fuzzy_match, str) else wanted.fuzzy_match
    return (
        f"The question: {intent}\nThe right answer:\n"
        + "\n".join(f"- {one}" for one in answers)
        + "\nIt counts as done if the agent's answer means the same as all of this; in part is not enough."
    )
