"""WebArena's rules for an end, without a browser."""

import pytest

from wisen.environments.web.benchmarks.webarena_programs import call, post_url
from wisen.environments.web.benchmarks.webarena_rules import all_included, arrived, same, shown
from wisen.environments.web.benchmarks.webarena_score import Answers, Rules, Target, answered


def test_answers_are_compared_but_for_quotes_space_and_capitals() -> None:
    assert same("$7.50", " '$7.50' ") and same("N/A", '"n/a"') and same('"', '"')
    assert not same("7.50", "$7.50")


def test_all_that_is_wanted_is_included_and_a_single_sign_is_a_word() -> None:
    assert all_included(["Mug", "7.50"], "a mug for $7.50") and not all_included(["mug", "bowl"], "a mug")
    assert all_included(["2"], "There are 2.") and not all_included(["2"], "There are 12, or 2.5")
    assert all_included(["2", "1"], "There are 12")  # of several, each may be anywhere
    assert all_included(["12"], "In 2012")


def test_a_page_shows_one_of_each_choice() -> None:
    assert shown(["Bowl |OR| Mug & saucer", "7"], "<p>MUG &amp; saucer: 7</p>")
    assert not shown(["Bowl |OR| Mug", "8"], "<p>Mug: 7</p>")


@pytest.mark.parametrize(
    ("reference", "url", "there"),
    [
        ("http://shop.test/mugs", "http://shop.test/mugs/", True),
        ("http://shop.test/mugs", "http://shop.test/mugs/blue?page=2#top", True),
        ("http://shop.test/mugs", "http://elsewhere.test/mugs", False),
        ("http://shop.test/search?q=tea+mug", "http://shop.test/search?sort=price&q=tea%20mug", True),
        ("http://shop.test/search?q=mug", "http://shop.test/search?q=bowl", False),
        ("http://shop.test/search?q=mug", "http://shop.test/search", False),
        ("http://shop.test/a |OR| http://shop.test/b", "http://shop.test/b", True),
        ("http://shop.test/a |OR| http://shop.test/b", "http://shop.test/c", False),
        ("http://shop.test/a?x=1 |OR| http://shop.test/a?x=2", "http://shop.test/a?x=2", True),
    ],
)
def test_an_address_is_arrived_at(reference: str, url: str, there: bool) -> None:
    assert arrived(reference, url) is there


def test_an_answer_is_right_wrong_or_for_a_judge() -> None:
    assert answered(Answers(exact_match="2"), "2") is True
    assert answered(Answers(exact_match="2"), "3") is False
    assert answered(Answers(must_include=("tea",), fuzzy_match=("it is",)), "coffee") is False
    assert answered(Answers(must_include=("tea",), fuzzy_match=("it is",)), "tea") is None
    assert answered(Answers(fuzzy_match=("it is",)), " ") is False
    assert answered(Answers(fuzzy_match="N/A"), "n/a") is True
    assert answered(Answers(fuzzy_match="N/A"), "cannot be done") is None


def test_programs_are_known_by_name_and_nothing_is_evaluated() -> None:
    found = call("func:reddit_get_post_url('__last_url__')")
    assert found is not None and found.given == ("__last_url__",)
    found = call("func:gitlab_get_project_memeber_role(__page__, 'a.b, c')")
    assert found is not None and found.given == ("", "a.b, c")
    for text in (
        "document.title",
        "func:eval('1')",
        "func:reddit_get_post_url(__import__('os').getcwd())",
        "func:reddit_get_post_url()",
        "func:reddit_get_post_url('x'); exit()",
        "func:shopping_get_sku_latest_review_author(7)",
    ):
        assert call(text) is None
    assert post_url("http://f.test/f/books/12/title/-/comment/3") == "http://f.test/f/books/12/"
    assert post_url("http://f.test/f/books") == "http://f.test/f/books"


@pytest.mark.parametrize(
    "rules",
    [
        {"eval_types": []},
        {"eval_types": ["string_match"]},
        {"eval_types": ["string_match"], "reference_answers": {}},
        {"eval_types": ["url_match"], "reference_url": ""},
        {"eval_types": ["url_match"], "reference_url": "http://x.test", "url_note": "EXACT"},
        {"eval_types": ["program_html"]},
        {"eval_types": ["string_match", "taste"], "reference_answers": {"exact_match": "x"}},
    ],
)
def test_rules_that_ask_for_nothing_or_are_unknown_hold_for_nobody(rules: dict[str, object]) -> None:
    assert Rules.model_validate(rules).unknown


def test_what_a_page_must_hold_is_known() -> None:
    target = {"url": "last", "locator": "document.title", "required_contents": {"exact_match": "x"}}
    assert not Target.model_validate(target).unknown
    for wrong in ({"locator": "alert(1)"}, {"required_contents": {}}, {"url": "func:nothing()"}):
        assert Target.model_validate(target | wrong).unknown
