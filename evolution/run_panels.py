"""The panels of a run: what its gates use up, what it reports on, and where nothing may get worse."""

from itertools import count

from wisen.core.ids import content_id
from wisen.core.records import Panel, Split
from wisen.evolution.panels import make_panel
from wisen.evolution.workbench import Bench


def gate_panel(bench: Bench) -> tuple[Panel, int]:
    """(panel, which use of it the next gate is). A panel whose error budget is used up is replaced by a fresh one,
    which nobody has played. Where the suite has no tasks for another, it is the last one, with a use more than it is
    good for."""
    settings = bench.settings.gate
    last: Panel | None = None
    for generation in count():
        panel = make_panel(
            bench.suite,
            Split.GATE,
            settings.per_template,
            offset=generation * settings.per_template,
            generation=generation,
        )
        if last is not None and not panel.tasks:
            return last, settings.uses + 1
        used = bench.store.panel_uses(panel.digest)
        if used < settings.uses:
            return panel, used + 1
        last = panel
    raise AssertionError("a panel that nobody used comes sooner or later")


def report_panel(bench: Bench) -> Panel:
    settings = bench.settings.report
    return make_panel(bench.suite, Split.REPORT, settings.per_template, offset=settings.seed_offset)


def noninferiority_panel(bench: Bench, name: str) -> Panel:
    """The panel of its own that a non-inferiority test has."""
    settings = bench.settings.gate.noninferior[name]
    suite = bench.other_suite(settings.suite, settings.suite_options)
    panel = make_panel(suite, Split.GATE, settings.per_template)
    return panel.model_copy(
        update={"name": f"{name} ({panel.name})", "digest": content_id("panel", name, panel.digest)}
    )


def all_panels(bench: Bench) -> list[Panel]:
    """Those whose tasks must not be learned from: of the gate, of the report, and where nothing may get worse."""
    own = [name for name, one in bench.settings.gate.noninferior.items() if one.suite]
    return [gate_panel(bench)[0], report_panel(bench), *(noninferiority_panel(bench, name) for name in own)]
