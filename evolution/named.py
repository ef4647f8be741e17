"""Named panels: a suite with the tasks to learn from, to gate on and to report on, pinned by their hashes.

One is a small TOML file. Those that wisen ships lie in `suites/` beside this module; any path to another will do.
"""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from wisen.core.errors import SettingsError
from wisen.core.protocols import Suite
from wisen.core.records import JSON, Panel, Record, Split
from wisen.environments import registry
from wisen.evolution.panels import make_panel, overlaps

FORMAT = ".toml"


class PanelPin(Record):
    """Which tasks a panel has: `per_template` of each template from `offset`, with `options` over the suite's. `digest`
    is the hash of what they were when they were pinned, `tasks` their number."""

    per_template: int = Field(ge=1)
    offset: int = Field(0, ge=0)
    options: JSON = {}
    tasks: int = 0
    digest: str = ""


class NamedSuite(Record):
    """`disjoint`: by task always, and by template where what is reported on shall be of kinds that nothing was learned
    from."""

    name: str
    about: str
    suite: str
    disjoint: Literal["task", "template"] = "task"
    options: JSON = {}
    learn: PanelPin
    gate: PanelPin
    report: PanelPin

    def pin(self, split: Split) -> PanelPin:
        return {Split.LEARN: self.learn, Split.GATE: self.gate, Split.REPORT: self.report}[split]

    def make(self, split: Split) -> Suite:
        """The suite as this panel plays it; nothing is started. Raises `SettingsError`."""
        return registry.create(self.suite, **{**self.options, **self.pin(split).options})

    def panel(self, split: Split) -> Panel:
        """The panel as the installed code makes it, whatever was pinned."""
        pin = self.pin(split)
        panel = make_panel(self.make(split), split, pin.per_template, offset=pin.offset)
        return panel.model_copy(update={"name": f"{self.name}/{split}"})


def shipped() -> tuple[str, ...]:
    folder = files("wisen.evolution").joinpath("suites")
    return tuple(sorted(entry.name.removesuffix(FORMAT) for entry in folder.iterdir() if entry.name.endswith(FORMAT)))


def named_suite(name: str) -> NamedSuite:
    """One that is shipped, or the file at a path. Raises `SettingsError`."""
    if name in shipped():
        text = files("wisen.evolution").joinpath("suites", name + FORMAT).read_text(encoding="utf-8")
    else:
        path = Path(name)
        if path.suffix != FORMAT:
            raise SettingsError(
                f"there is no named suite {name!r}", f"known: {', '.join(shipped())}, or a path to TOML"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        return NamedSuite.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise SettingsError(f"{name}: {wrong}") from error


def verified(named: NamedSuite) -> list[str]:
    """What is not as it was pinned, in words; empty when all is. Raises `SettingsError` where the suite cannot be
    made."""
    panels = {split: named.panel(split) for split in Split}
    wrong = []
    for split, panel in panels.items():
        pin = named.pin(split)
        if not panel.tasks:
            wrong.append(f"{panel.name} has no tasks")
        elif panel.digest != pin.digest:
            wrong.append(
                f"{panel.name} is {panel.digest} ({len(panel.tasks)} tasks) and was pinned as "
                f"{pin.digest or 'nothing'} ({pin.tasks} tasks): its tasks or their version changed"
            )
    return wrong + overlaps(list(panels.values()), by_template=named.disjoint == "template")


def pinned(named: NamedSuite) -> NamedSuite:
    """The same with the digests of now."""
    pins = {}
    for split in Split:
        panel = named.panel(split)
        pins[split.value] = named.pin(split).model_copy(update={"digest": panel.digest, "tasks": len(panel.tasks)})
    return named.model_copy(update=pins)
