"""WebArena's tasks on sites of its kind: each rule held and broken, logins, resets, and what is not offered."""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.arena_sites import ArenaSite, login, task
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import FOR_THE_JUDGE, Action, Split, StepResult
from wisen.environments import registry
from wisen.environments.web.benchmarks.reset import Reset
from wisen.environments.web.gate import origin


def html(url: str, locator: str, **contents: Any) -> dict[str, Any]:
    return {"url": url, "locator": locator, "required_contents": contents}


def page(*targets: dict[str, Any]) -> dict[str, Any]:
    return {"eval_types": ["program_html"], "program_html": list(targets)}


def said(**answers: Any) -> dict[str, Any]:
    return {"eval_types": ["string_match"], "reference_answers": answers}


DISCOUNT = html("last", "document.querySelector('input').value", exact_match="20")
POSTED = html("func:reddit_get_post_url('__last_url__')", "document.querySelector('.submission__inner').outerText")
WELCOME = page(html("last", "", must_include=["Welcome, Emma"]))
BOTH = {"eval_types": ["string_match", "url_match"], "reference_url": "__REDDIT__/f/books"}
TASKS = [
    task(10, "What does the mug cost?", **said(exact_match="$7.50")),
    task(
        20,
        "Show mugs.",
        eval_types=["url_match"],
        reference_url="__SHOPPING__/find |OR| __SHOPPING__/search?q=mug",
        url_note="GOLD in PRED",
    ),
    task(30, "Put a mug in the cart.", **page(html("__SHOPPING__/cart", "", must_include=["Bowl |OR| Mug & saucer"]))),
    task(31, "Show the discount.", start="__SHOPPING__/prices", **page(DISCOUNT)),
    task(
        32,
        "Show the discount, opened or not.",
        start="__SHOPPING__/prices",
        **page(DISCOUNT | {"prep_actions": ["document.querySelector('button').click()"]}),
    ),
    task(
        40,
        "Comment on the post about atlases.",
        site="reddit",
        start="__REDDIT__/f/books",
        **page(POSTED | {"required_contents": {"must_include": ["good atlas"]}}),
    ),
    task(
        50,
        "Show what Bob is.",
        site="gitlab",
        start="__GITLAB__/project/members",
        **page(html("last", "func:gitlab_get_project_memeber_role(__page__, 'bob')", exact_match="Developer")),
    ),
    task(
        60,
        "Order a mug, and review it.",
        **page(
            html("func:shopping_get_latest_order_url()", "document.body.outerText", must_include=["Order 7"]),
            html("last", "func:shopping_get_sku_latest_review_author('M1')", exact_match="Emma"),
            html("last", "func:shopping_get_sku_latest_review_rating('M1')", must_include=["80"]),
        ),
    ),
    task(70, "Who is here?", start="__SHOPPING__/account", **WELCOME),
    task(71, "And here?", site="reddit", start="__REDDIT__/account", **WELCOME),
    task(80, "Is the mug dear?", **said(must_include=["$7.50"], fuzzy_match=["No, it is cheap"])),
    task(81, "Buy a ship.", **said(fuzzy_match="N/A") | {"string_note": "No ships are sold"}),
    task(
        90,
        "Compare shop and forum.",
        start="__SHOPPING__ |AND| __REDDIT__/f/books",
        **said(exact_match="done") | BOTH,
    )
    | {"sites": ["shopping", "reddit"]},
    task(100, "Wait.", eval_types=["patience"]),
    task(101, "Drive.", site="map", **said(exact_match="1")),
    task(102, "Run.", **page(html("last", "func:__import__('os').getcwd()", exact_match="/"))),
]


class Sites:
    def __init__(self, folder: Path) -> None:
        self.foreign = ArenaSite()
        self.shop, self.forum = ArenaSite(), ArenaSite(self.foreign.url)
        for one in (self.foreign, self.shop, self.forum):
            one.start()
        self.file = folder / "test.raw.json"
        self.file.write_text(json.dumps(TASKS))
        (folder / "shopping_state.json").write_text(json.dumps(login(self.shop)))
        self.options = {
            "tasks": str(self.file),
            "sites": {
                "shopping": self.shop.url,
                "reddit": self.forum.url + "/",
                "gitlab": self.forum.url,
                "map": "todo",
            },
            "storage_state": str(folder),
        }
        self.suite: Any = registry.create("webarena", judge=True, **self.options)

    async def ended(self, number: int, *moves: str) -> StepResult:
        """The result of the last of some moves at a task."""
        environment = await self.suite.create()
        self.first = await environment.reset(self.task(number))
        self.foreign.asked.clear()
        self.results = [await environment.step(Action(text=move)) for move in moves]
        await environment.close()
        return self.results[-1]

    def task(self, number: int) -> Any:
        tasks = [one for split in Split for one in self.suite.tasks(split, 100)]
        return next(one for one in tasks if one.id == f"webarena/{number}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sites]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WA_MAP", "MAP", "WIKIPEDIA", "WA_WIKIPEDIA"):
            patch.delenv(name, raising=False)
        patch.setenv("WA_SHOPPING_ADMIN_USER", "ada")
        patch.setenv("WA_SHOPPING_ADMIN_PASSWORD", "key")
        made = Sites(tmp_path_factory.mktemp("arena"))
        await made.suite.start()
        yield made
        await made.suite.stop()
        for one in (made.foreign, made.shop, made.forum):
            one.stop()


@pytest.mark.parametrize(
    ("number", "moves", "success"),
    [
        (10, ['stop " $7.50 "'], True),
        (10, ['stop "$7"'], False),
        (20, ['click link "Mugs"', "stop"], True),
        (20, ["stop"], False),
        (30, ['click button "Add mug"', "stop"], True),
        (31, ['click button "More"', "stop"], True),
        (31, ["stop"], False),
        (32, ["stop"], True),
        (40, ['click link "A comment"', "stop"], True),
        (50, ["stop"], True),
        (50, ['goto "/gitlab"', "stop"], False),
        (60, ["stop"], True),
        (70, ["stop"], True),
        (71, ["stop"], False),  # of a site where nobody is logged in
        (80, ['stop "It is dear, I think"'], False),
        (81, ['stop "n/a"'], True),
    ],
)
@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_an_end_is_what_the_rules_make_of_it(sites: Sites, number: int, moves: list[str], success: bool) -> None:
    sites.shop.cart.clear()
    last = await sites.ended(number, *moves)
    assert (last.terminated, last.success, last.reward) == (True, success, float(success))
    assert FOR_THE_JUDGE not in last.info and set(last.info["rules"].values()) == {success}


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_an_empty_cart_is_no_full_one(sites: Sites) -> None:
    sites.shop.cart.clear()
    assert (await sites.ended(30, "stop")).success is False


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_what_rules_cannot_say_is_left_to_a_judge_who_is_told_what_the_agent_is_not(sites: Sites) -> None:
    last = await sites.ended(80, 'stop "At $7.50 it is not"')
    assert (last.success, last.reward) == (None, 0.0)
    assert "No, it is cheap" in last.info[FOR_THE_JUDGE] and "Is the mug dear?" in last.info[FOR_THE_JUDGE]
    assert "No ships are sold" in (await sites.ended(81, 'stop "They have none"')).info[FOR_THE_JUDGE]
    seen = json.dumps([sites.first.model_dump(), *(one.observation.model_dump() for one in sites.results)])
    assert "No ships" not in seen and "string_match" not in seen


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_both_sites_of_a_task_are_open_and_no_third(sites: Sites) -> None:
    back = f'goto "{sites.forum.url}/f/books"'
    last = await sites.ended(90, "back", 'click link "Elsewhere"', back, 'stop "done"')
    assert "Tea mug" in sites.first.text and "2 are open" in sites.first.text
    assert "books" in sites.results[0].observation.text
    assert origin(sites.foreign.url) in sites.results[1].violation and sites.foreign.asked == []
    assert last.success is True and last.info["rules"] == {"string_match": True, "url_match": True}


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="module")
async def test_sites_are_reset_before_each_episode_and_waited_for(sites: Sites) -> None:
    hook = f"POST {sites.shop.url}/reset"
    suite: Any = registry.create("webarena", reset=hook, reset_at="episode", ids=[30], **sites.options)
    await suite.start()
    try:
        environment = await suite.create()
        with pytest.raises(SettingsError, match="workers = 1"):
            await suite.create()
        (only,) = (one for split in Split for one in suite.tasks(split, 1))
        sites.shop.cart.append("Tea mug")
        assert "Tea mug" in (await environment.reset(only)).text  # and not the page that says when they are back
        assert sites.shop.cart == [] and (await environment.step(Action(text="stop"))).success is False
        await environment.close()
        await (await suite.create()).close()
    finally:
        await suite.stop()


async def test_a_reset_that_fails_says_so(tmp_path: Path) -> None:
    site = ArenaSite()
    site.start()
    try:
        made = tmp_path / "made"
        await Reset([f"{sys.executable} -c \"open('{made}', 'w')\"", f"{site.url}/"], [site.url], 10).run()
        assert made.exists()
        for hook, told in {
            f"{sys.executable} -c \"raise SystemExit('the disk is full')\"": "ended with 1: the disk is full",
            f"{sys.executable} -c 'import time; time.sleep(9)'": "did not end in time",
            "no-such-program": "no-such-program",
            f"GET {site.url}/rest/V1/orders": "answered 401",
        }.items():
            with pytest.raises(EnvironmentFault, match=told):
                await Reset(hook, [], 0.5).run()
        site.away = 9
        with pytest.raises(EnvironmentFault, match="answers 503"):
            await Reset("true", [site.url], 0.5).run()
    finally:
        site.stop()
    with pytest.raises(SettingsError, match="write a command"):
        Reset("unclosed 'quote", [], 1)


def options(tmp_path: Path, tasks: Any = TASKS, **more: Any) -> dict[str, Any]:
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    sites = {name: f"http://{name}.test" for name in ("shopping", "reddit", "gitlab")}
    return {"tasks": str(tmp_path / "tasks.json"), "sites": sites} | more


def test_what_cannot_be_scored_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WA_MAP", "MAP", "WA_SHOPPING_ADMIN_USER", "WA_SHOPPING_ADMIN_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    suite: Any = registry.create("webarena", **options(tmp_path))
    reasons = {
        "60": "administrator",
        "80": "judge",
        "81": "judge",
        "100": "patience",
        "101": "map",
        "102": "__import__",
    }
    assert suite.not_offered.keys() == reasons.keys()
    assert all(reason in suite.not_offered[number] for number, reason in reasons.items())
    assert "10 tasks (6 are not offered: 2 because only a judge" in suite.card().summary
    monkeypatch.setenv("MAP", "http://map.test")
    with_map: Any = registry.create("webarena", **options(tmp_path, judge=True))
    assert with_map.not_offered.keys() == {"60", "100", "102"}


def test_a_template_is_of_one_panel_whatever_is_offered(tmp_path: Path) -> None:
    many = [task(number, f"Task {number}", **said(exact_match="x")) for number in range(100)]
    whole: Any = registry.create("webarena", **options(tmp_path, many))
    panels = {one.id: (one.template_id, split) for split in Split for one in whole.tasks(split, 99)}
    assert len(panels) == 100 and len(set(panels.values())) == 10
    assert {split for _, split in panels.values()} == set(Split)
    some: Any = registry.create("webarena", **options(tmp_path, many, ids=[3, 14, 15, 92]))
    assert {one.id: (one.template_id, split) for split in Split for one in some.tasks(split, 99)} == {
        name: panels[name] for name in ("webarena/3", "webarena/14", "webarena/15", "webarena/92")
    }
    elsewhere: Any = registry.create("webarena", **options(tmp_path, many) | {"sites": {"shopping": "http://b.test"}})
    assert elsewhere.tasks(Split.LEARN, 99) == whole.tasks(Split.LEARN, 99)  # versions included


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tasks": "/no/such/file"}, "No such file"),
        ({"sites": {"shop": "http://x"}}, "no site 'shop'"),
        ({"sites": {"shopping": "7770"}}, "the address of shopping"),
        ({"storage_state": "/nowhere"}, "no SITE_state.json"),
        ({"storage_state": {"reddit": "/nowhere.json"}}, "is not there"),
        ({"ids": [7]}, "there is no task 7"),
        ({"reset": "true", "reset_at": "noon"}, "start or episode"),
        ({"origins": ["example.org"]}, "no address of the web"),
        ({"ids": [100]}, "the rule patience is not known"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        registry.create("webarena", **options(tmp_path) | given)


def test_a_file_that_is_no_task_file_is_refused(tmp_path: Path) -> None:
    broken = [TASKS[0], {"task_id": 5, "sites": ["reddit"]}]
    for tasks, told in (
        ({"tasks": []}, "no list of tasks"),
        (broken, "task 5: start_url"),
        (TASKS[:1] * 2, "two tasks"),
    ):
        with pytest.raises(SettingsError, match=told):
            registry.create("webarena", **options(tmp_path, tasks))
