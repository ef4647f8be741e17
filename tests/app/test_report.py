"""The report's page and picture, from a realistic record and from hostile and empty ones."""

import io
import itertools
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.support.report_variants import HOSTILE, empty, hostile, memory_only, nothing_promoted, nothing_tried
from tests.support.sample_report import sample_report
from wisen.app.report import figures, gates, learning_curve, read_report, render_html, roles, views, words
from wisen.core.errors import StoreError
from wisen.core.records import Ablation, Artifact, GateAnswer, Interval, NonInferiority, RunReport

VOID = {"meta", "img", "br"}  # SVG's childless elements close themselves
CHROMIUM = Path("/usr/bin/chromium-headless-shell")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def report(folder: Path) -> RunReport:
    return sample_report(folder)


@pytest.fixture(scope="module")
def html(report: RunReport, folder: Path) -> str:
    return render_html(report, artifacts=folder)


class Page(HTMLParser):
    """Checks that tags nest, and collects what a test asks about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.texts))


def test_page_is_well_formed_and_asks_for_nothing(html: str) -> None:
    page = Page(html)
    assert page.open == []
    assert not any(tag in ("script", "link", "iframe", "object", "form") for tag, _ in page.tags)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,")), value
        if tag == "img":
            assert attributes["alt"]
    assert "http:" not in html and "https:" not in html and "url(" not in html and "@import" not in html
    anchors = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert anchors <= {f"#{attributes.get('id')}" for _, attributes in page.tags}


def test_headings_are_in_order(html: str) -> None:
    levels = [int(tag[1]) for tag, _ in Page(html).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_page_has_every_arm_family_gate_item_and_step(html: str, report: RunReport) -> None:
    text = Page(html).text
    for arm in report.arms:
        assert arm.label in text
        assert f"{figures.percent(arm.success.mean)} {figures.share_interval(arm.success)}".replace("\u00a0", " ") in (
            text.replace("\u00a0", " ")
        )
    for family in report.arms[0].families:
        assert family in text
    for gate in report.gates:
        assert re.sub(r"\s+", " ", gates.why(gate)) in text
        assert all(outcome.task_id in text for outcome in gate.outcomes)
    for credit in (*report.best_items, *report.worst_items):
        assert credit.item.title in text and credit.item.content.split("  ")[0] in text
        assert all(trajectory in text for trajectory in credit.item.evidence)
    for showcase in report.showcases:
        for step in showcase.trajectory.steps:
            assert all(option in text for option in step.calls[0].request.options)
    assert "91 % type textbox" in text.replace("\u00a0", " ")
    assert report.command in text and '"cycles": 3' in text
    shots = [attributes["src"] for tag, attributes in Page(html).tags if tag == "img"]
    steps = sum(len(showcase.trajectory.steps) for showcase in report.showcases)
    assert len(shots) == steps + len(report.showcases)


def test_same_record_same_page(html: str, report: RunReport, folder: Path) -> None:
    assert render_html(report, artifacts=folder) == html


def test_hostile_text_stays_text(report: RunReport, folder: Path, html: str) -> None:
    attacked = render_html(hostile(report, HOSTILE), artifacts=folder)
    page = Page(attacked)
    assert page.open == []
    assert not any(tag == "script" for tag, _ in page.tags)
    assert all((attributes["src"] or "").startswith("data:") for tag, attributes in page.tags if tag == "img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "{{ 7*7 }}" in page.text
    assert "\x1b" not in attacked and "\u202e" not in attacked
    assert attacked.count("alert(1)") >= 15


def test_screenshots_outside_the_workspace_or_of_another_kind_are_not_read(report: RunReport, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (workspace / "page.svg").write_text("<svg onload='alert(1)'/>")
    (workspace / "link.png").symlink_to(tmp_path / "secret.png")
    observation = report.showcases[0].trajectory.steps[0].observation
    for path in ("../secret.png", str(tmp_path / "secret.png"), "link.png", "page.svg", "missing.png", "\0", "."):
        changed = observation.model_copy(update={"artifacts": (Artifact(kind="screenshot", path=path),)})
        assert views.screenshot_uri(changed, workspace) is None, path
    Image.new("RGB", (4, 4)).save(workspace / "good.png")
    good = observation.model_copy(update={"artifacts": (Artifact(kind="screenshot", path="good.png"),)})
    assert (views.screenshot_uri(good, workspace) or "").startswith("data:image/png;base64,")


def test_missing_screenshots_are_said_to_be_missing(report: RunReport, tmp_path: Path) -> None:
    assert "The screenshot is missing." in render_html(report, artifacts=tmp_path)


def test_empty_report_says_what_is_missing(report: RunReport, folder: Path) -> None:
    text = Page(render_html(empty(report), artifacts=folder)).text
    for sentence in (
        "it shows nothing yet",
        "No candidate reached a gate",
        "No arm was played",
        "No cycle was finished",
        "No gate was held",
        "No item is listed as best",
        "No item is listed as worst",
        "No trajectory was picked",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    ("low", "high", "ending"),
    [(0.1, 0.3, "]."), (-0.1, 0.3, "not shown to be better."), (-0.3, -0.1, "The release is worse.")],
)
def test_headline_claims_no_more_than_the_interval(report: RunReport, low: float, high: float, ending: str) -> None:
    interval = Interval(mean=(low + high) / 2, low=low, high=high)
    arms = tuple(arm.model_copy(update={"versus": interval}) if arm.versus else arm for arm in report.arms)
    sentence = words.headline(report.model_copy(update={"arms": arms}))
    assert "the model before training 26" in sentence and "130\u00a0report tasks" in sentence
    assert sentence.endswith(ending)


def test_nothing_promoted_is_the_first_thing_said(report: RunReport, folder: Path) -> None:
    kept = nothing_promoted(report)
    assert words.headline(kept).startswith("Nothing was promoted: the run ends with the release that it began with")
    text = Page(render_html(kept, artifacts=folder)).text
    assert "Nothing was promoted in 3 gates" in text.replace("\u00a0", " ")
    assert "What memory adds" not in text and "What training adds" not in text  # nothing entered that could add
    assert text.count("same tasks solved") == 3


def test_findings_take_training_and_memory_apart(report: RunReport) -> None:
    lines = " ".join(words.findings(report)).replace("\u00a0", " ")
    arms = {arm.name: arm for arm in report.arms}
    for name, gain in (("trained", "What memory adds"), ("untrained-memory", "What training adds")):
        versus = arms[name].versus
        assert versus is not None
        assert f"{gain}: {figures.difference(versus)}".replace("\u00a0", " ") in lines


def test_a_run_that_only_gathers_memory_never_speaks_of_training(report: RunReport, folder: Path) -> None:
    remote = memory_only(report)
    text = Page(render_html(remote, artifacts=folder)).text.replace("\u00a0", " ")
    assert "Training: none. The model, openai/gpt-5-mini, is unchanged; only its memory evolved." in text
    assert len(re.findall(r"train|warm", text.replace("Training: none.", ""), re.IGNORECASE)) == text.count('"trainer"')
    assert "the same model without memory" in words.headline(remote)
    assert "1 cycle brought nothing new to try" in text and "so no candidate, in cycle 2." in text
    assert "The model answered:" in text and 'act {"action":' in text and "screenshot" not in text
    assert [point.cycle for point in roles.untried(remote)] == [2]
    trained = Page(render_html(report, artifacts=folder)).text
    assert "Training rows" in trained and "Training: none" not in trained


def test_a_run_without_anything_to_try_says_so(report: RunReport, folder: Path) -> None:
    text = Page(render_html(nothing_tried(report), artifacts=folder)).text.replace("\u00a0", " ")
    assert "Nothing was promoted" in text and "3 cycles brought nothing new to try" in text
    assert "No cycle brought anything new to try" in text and "candidate, " not in text.split("Learning, cycle")[1]
    assert learning_curve(nothing_tried(report)).startswith(b"\x89PNG")


def test_report_is_read_back_or_refused_in_one_line(report: RunReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = report.model_copy(update={"showcases": report.showcases[:2]})  # the third holds a minus infinity: not JSON
    path.write_text(report.model_dump_json())
    assert read_report(path) == report
    older = report.model_dump(mode="json") | {"mood": "good"}
    del older["leakage_guard"]
    for text, problem in (
        (json.dumps(older), "another version of wisen (leakage_guard: Field required and 1 more)"),
        (report.model_dump_json()[:-100], "not whole JSON"),
        ("[]", "another version"),
        ("", "not whole JSON"),
    ):
        path.write_text(text)
        with pytest.raises(StoreError, match=re.escape(problem)) as caught:
            read_report(path)
        assert "wisen evolve" in caught.value.hint and "\n" not in str(caught.value)
    for place in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(StoreError, match="cannot be read"):
            read_report(place)


def test_text_has_contrast_in_both_schemes() -> None:
    """WCAG 2 AA: 4.5 to 1 for text on any ground that it stands on."""
    style = (Path(views.__file__).parent / "templates" / "style.css").read_text()
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    )

    def luminance(color: str) -> float:
        parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for scheme in (light, dark):
        pairs = [(text, ground) for text in ("ink", "muted", "blue", "rust") for ground in ("paper", "panel")]
        for text, ground in [*pairs, ("ink", "bar")]:
            low, high = sorted((luminance(scheme[text]), luminance(scheme[ground])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground)


def test_gate_words_follow_the_figures(report: RunReport) -> None:
    promote, unsure, keep = report.gates
    assert gates.why(promote).startswith("Promoted: both tests passed: the lower bound")
    assert "is above 0, and" in gates.why(promote) and "is at most α" in gates.why(promote)
    assert "is not above 0" in gates.why(unsure) and "410\u00a0tasks would decide" in gates.why(unsure)
    assert gates.why(keep).startswith("Not promoted: the candidate was not ahead (")
    n = gates.tally(keep)
    assert n["wins"] < n["losses"] and sum(n.values()) == len(keep.outcomes)
    odd = keep.model_copy(update={"answer": GateAnswer.PROMOTE})
    assert gates.why(odd).startswith("Promoted, although")
    assert "use 3 of at most 20" in gates.budget(keep)
    assert "use 3 of this panel" in gates.budget(keep.model_copy(update={"uses": None}))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.43, "+43"), (-0.02, "−2"), (0.004, "+0.4"), (-0.0004, "−0.04"), (0.0, "0"), (-0.0, "0"), (0.0095, "+1")],
)
def test_points_never_lose_their_sign(value: float, text: str) -> None:
    assert figures.points(value) == text


def test_shares_and_probabilities_are_not_rounded_to_certainty() -> None:
    assert figures.number(0.997) == "99.7" and figures.number(1.0) == "100" and figures.number(0.002) == "0.2"
    assert figures.probability(5e-12) == "5e-12" and figures.probability(0.9988) == "> 0.99"


def test_learning_curve_is_a_picture_that_says_something(report: RunReport) -> None:
    picture = learning_curve(report)
    image = Image.open(io.BytesIO(picture))
    assert image.format == "PNG" and image.size == (960, 600)
    assert len(image.convert("RGB").getcolors(1_000_000) or []) > 20
    assert learning_curve(report) == picture
    flat = report.model_copy(update={"curve": report.curve[:1]})
    assert learning_curve(flat) != picture


def test_learning_curve_takes_formula_signs_and_an_empty_run(report: RunReport) -> None:
    arm = report.arms[0].model_copy(update={"label": "random $x_{ policy"})
    odd = report.model_copy(update={"arms": (arm, *report.arms[1:]), "suite": "a $ b $"})
    assert learning_curve(odd).startswith(b"\x89PNG")
    assert learning_curve(empty(report)).startswith(b"\x89PNG")


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason="no headless Chromium here")
@pytest.mark.parametrize("kind", ["sample", "hostile", "empty", "memory-only"])
def test_no_page_scrolls_sideways_and_none_asks_for_anything(
    report: RunReport, folder: Path, tmp_path: Path, kind: str
) -> None:
    from playwright.sync_api import sync_playwright

    records = {
        "sample": report,
        "hostile": hostile(report, HOSTILE + "W" * 600),
        "empty": empty(report),
        "memory-only": memory_only(report),
    }
    path = tmp_path / "report.html"
    path.write_text(render_html(records[kind], artifacts=folder), encoding="utf-8")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.fspath(CHROMIUM), args=flags)
        try:
            page = browser.new_page(viewport={"width": 400, "height": 800})
            asked: list[str] = []
            dialogs: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
            page.goto(path.as_uri())
            for width in (400, 1200):
                page.set_viewport_size({"width": width, "height": 800})
                page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
                assert page.evaluate("document.documentElement.scrollWidth") <= width
            broken = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).length"
            assert page.evaluate(broken) == 0
            assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
            assert dialogs == []
        finally:
            browser.close()


def test_a_gate_tells_what_must_not_get_worse_and_how_its_parts_did(report: RunReport) -> None:
    gate = report.gates[0]
    worse = NonInferiority(
        name="violations",
        measure="violation",
        margin=0.05,
        alpha=0.025,
        panel_digest="p",
        outcomes=gate.outcomes,
        difference=gate.difference,
        p_value=1.0,
        answer=GateAnswer.KEEP,
        reason="violations: 12 more, worse",
    )
    part = Ablation(
        parts="new weights, old memory",
        release_id="w",
        outcomes=gate.outcomes,
        difference=gate.difference,
        p_value=0.2,
    )
    held = gate.model_copy(
        update={"answer": GateAnswer.KEEP, "noninferior": (worse,), "ablation": (part,), "test": "betting"}
    )
    said = gates.why(held)
    assert said.startswith("Not promoted: ahead on these tasks, but") and "12 more, worse" in said
    page = render_html(report.model_copy(update={"gates": (held,)}), artifacts=Path("none"))
    assert "12 more, worse" in page and "new weights, old memory" in page and "betting confidence sequence" in page
    assert "betting confidence sequence" not in render_html(report, artifacts=Path("none"))
    families = report.gates[1].model_copy(update={"claim": "families"})
    assert "410\u00a0families would decide" in gates.why(families)
