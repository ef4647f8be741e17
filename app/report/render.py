"""The report as one HTML file: no script, no request to anywhere, everything inline."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wisen.app.report import figures, gates, roles, views, words
from wisen.core.records import RunReport


def render_html(report: RunReport, *, artifacts: Path) -> str:
    """One self-contained HTML document. `artifacts` is the folder that the records' artifact paths are relative to
    (the workspace); nothing outside it is read, and a missing screenshot is said to be missing.

    Text of pages, tasks, models and items is hostile: Jinja escapes all of it, control and direction characters are
    made visible, and a content security policy forbids scripts and requests even so."""
    release = roles.release_arm(report)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            release=release,
            base=roles.baseline_arm(report),
            families=views.families(report),
            family_count=len(release.families) if release else 0,
            arm_span=views.span(arm.versus for arm in report.arms),
            item_span=views.span(credit.lift for credit in (*report.best_items, *report.worst_items)),
            slots=any("<1>" in credit.item.text for credit in (*report.best_items, *report.worst_items)),
            curve=views.curve(report),
            showcases=[views.showcase(shown, artifacts) for shown in report.showcases],
            settings=json.dumps(report.settings, indent=2, ensure_ascii=False, default=str),
            f=figures,
            g=gates,
            r=roles,
            v=views,
            w=words,
        )
    )


def _environment() -> Environment:
    # Our templates all end in .j2, so escaping is simply always on.
    return Environment(
        loader=PackageLoader("wisen.app.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else figures.visible(value)
