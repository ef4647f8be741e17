"""WebVoyager's tasks on a site of our own: what is kept for a judge, and what may be reached."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.small_site import SmallSite
from wisen.core.errors import SettingsError
from wisen.core.records import FOR_THE_JUDGE, Action, Split
from wisen.environments import registry
from wisen.environments.web.benchmarks.webvoyager import below


def lines(folder: Path, url: str = "https://www.shop.test/en/", count: int = 1) -> str:
    path = folder / "WebVoyager_data.jsonl"
    rows = [{"web_name": "A Shop", "id": f"A Shop--{n}", "ques": "Until when?", "web": url} for n in range(count)]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


@pytest.mark.browser
async def test_pictures_answer_and_date_are_kept_and_a_judge_decides(tmp_path: Path) -> None:
    site = SmallSite()
    site.start()
    references = tmp_path / "reference_answer.json"
    references.write_text(
        json.dumps({"A Shop": {"notice": "", "answers": [{"id": 0, "type": "golden", "ans": "Until nine"}]}})
    )
    suite: Any = registry.create(
        "webvoyager", tasks=lines(tmp_path, site.url), day="2027-03-01", references=str(references)
    )
    await suite.start()
    folder = tmp_path / "episode"
    folder.mkdir()
    try:
        environment = await suite.create()
        (task,) = (one for split in Split for one in suite.tasks(split, 1))
        assert task.version.startswith("2027-03-01-") and "2027-03-01" in suite.card().summary
        first = await environment.reset(task, screenshots=folder)
        await environment.step(Action(text='goto "/about"'))
        last = await environment.step(Action(text='stop "nine"'))
    finally:
        await suite.stop()
        site.stop()
    assert (last.terminated, last.success, last.reward) == (True, None, 0.0)
    assert "Until nine" in last.info[FOR_THE_JUDGE] and "Until nine" not in first.model_dump_json()
    kept = [one.kind for one in last.observation.artifacts]
    assert sorted(kept) == ["answer", "har", "screenshot"] and len(list(folder.glob("*.png"))) == 3
    answer = json.loads((folder / "answer.json").read_text())
    assert (answer["id"], answer["answer"], answer["url"]) == ("A Shop--0", "nine", f"{site.url}/about")
    assert answer["ended"] == last.info["ended"] and answer["ended"][:2] == "20"


def test_a_site_is_its_host_and_those_below(tmp_path: Path) -> None:
    assert below("https://www.shop.test/en/") == ("https://shop.test", "https://*.shop.test")
    origins = {"A Shop": ["https://cdn.test"], "Another": ["https://*"]}
    suite: Any = registry.create("webvoyager", tasks=lines(tmp_path), day="2027-03-01", origins=origins)
    (goal,) = suite._goals.values()
    assert goal.allowed == ("https://www.shop.test", "https://shop.test", "https://*.shop.test", "https://cdn.test")


def test_tasks_of_a_site_are_in_all_panels(tmp_path: Path) -> None:
    suite: Any = registry.create("webvoyager", tasks=lines(tmp_path, count=10), day="2027-03-01")
    panels = {split: {task.id for task in suite.tasks(split, 99)} for split in Split}
    assert {split: len(ids) for split, ids in panels.items()} == suite.card().sizes
    assert len(set.union(*panels.values())) == 10 and all(panels.values())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"day": "today"}, "is no date"),
        ({"origins": {"A Shop": "https://cdn.test"}}, "a list, or lists by web_name"),
        ({"origins": ["cdn.test"]}, "no address of the web"),
        ({"references": "/no/such/file"}, "name reference_answer.json"),
        ({"tasks": "/no/such/file"}, "No such file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        registry.create("webvoyager", **{"tasks": lines(tmp_path), "day": "2027-03-01"} | given)
