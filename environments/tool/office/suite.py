"""The suite `office`: organisations with hidden ways, templates over four levels, any number of seeds."""

from collections.abc import Sequence
from typing import ClassVar

from wisen.core.errors import SettingsError
from wisen.core.records import Acts, Split, SuiteCard, Task
from wisen.environments.tasks import seeds
from wisen.environments.tool.office.environment import STEP_LIMIT, SUITE, VERSION, OfficeEnvironment
from wisen.environments.tool.office.oracle import OfficeOracle
from wisen.environments.tool.office.organisation import organisation
from wisen.environments.tool.office.templates import TEMPLATES

_LEVELS = (1, 2, 3, 4)


class OfficeSuite:
    """organisations: their seeds; each is another house with other ways. levels, templates: which tasks (all, if
    empty). conventions: false for the control, in which any way of working is fine."""

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Errands in a generated organisation whose ways nobody tells; mail, calendar, files, tickets, shop.",
        licence="Apache-2.0, our own",
        templates=2 * len(TEMPLATES),
        acts=(Acts.CHOICE, Acts.TOOLS, Acts.TEXT),
        reward="0 or 1",
        success="all that was asked for, nothing else, and the ways were kept",
        max_steps=STEP_LIMIT,
        snapshots=True,
    )

    def __init__(
        self,
        organisations: Sequence[int] = (0, 1),
        levels: Sequence[int] = (),
        templates: Sequence[str] = (),
        conventions: bool = True,
    ) -> None:
        self._organisations = _listed("organisations", organisations, int)
        if not self._organisations or min(self._organisations) < 0:
            raise SettingsError(
                f"{SUITE}: organisations = {list(self._organisations)}", "name seeds from 0, such as [0]"
            )
        chosen = _listed("levels", levels, int) or _LEVELS
        if unknown := sorted(set(chosen) - set(_LEVELS)):
            raise SettingsError(f"{SUITE}: there is no level {unknown[0]}", "levels are 1, 2, 3 and 4")
        named = _listed("templates", templates, str) or tuple(TEMPLATES)
        if missing := [name for name in named if name not in TEMPLATES]:
            raise SettingsError(f"{SUITE}: there is no template {missing[0]!r}", f"there are {', '.join(TEMPLATES)}")
        if not isinstance(conventions, bool):
            raise SettingsError(f"{SUITE}: conventions = {conventions!r}", "true or false")
        self._templates = tuple(name for name in named if TEMPLATES[name].level in chosen)
        if not self._templates:
            raise SettingsError(f"{SUITE}: none of the templates is of level {', '.join(map(str, chosen))}")
        self._conventions = conventions

    def card(self) -> SuiteCard:
        return self.about.model_copy(update={"templates": len(self._organisations) * len(self._templates)})

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """`per_template` tasks of each template in each organisation. The two together are the task's `template_id`:
        the same errand is done in another way elsewhere."""
        return tuple(
            self._task(split, house, name, seed)
            for seed in seeds(SUITE, split, per_template, offset)
            for house in self._organisations
            for name in self._templates
        )

    def _task(self, split: Split, house: int, template: str, seed: int) -> Task:
        kind = f"{SUITE}/{house}/{template}" + ("" if self._conventions else "/any-way")
        return Task(
            id=f"{kind}/{seed}",
            suite=SUITE,
            environment=f"{SUITE}/{organisation(house).name}",
            template_id=kind,
            split=split,
            seed=seed,
            params={"organisation": house, "template": template, "conventions": self._conventions},
            version=VERSION,
        )

    async def start(self) -> None:
        """Nothing to bring up."""

    async def create(self) -> OfficeEnvironment:
        return OfficeEnvironment()

    async def stop(self) -> None:
        """Nothing is shared."""

    def oracle(self) -> OfficeOracle:
        return OfficeOracle()


def _listed(option: str, value: object, kind: type) -> tuple:
    """An option that is a list, without repeats."""
    if isinstance(value, str) or not isinstance(value, Sequence) or any(type(one) is not kind for one in value):
        wanted = "[0, 1]" if kind is int else '["refund"]'
        raise SettingsError(f"{SUITE}: {option} = {value!r} is no list of that kind", f"write {option}={wanted}")
    return tuple(dict.fromkeys(value))
