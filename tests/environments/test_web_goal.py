"""What a task on a site is: what is refused, what is compared."""

from typing import Any

import pytest

from wisen.core.errors import SettingsError
from wisen.environments import registry
from wisen.environments.web.gate import origin
from wisen.environments.web.goal import Check


def test_what_a_check_asks() -> None:
    assert Check().holds(url="", text="", answer="")
    assert Check(answer=" Nine ").holds(url="", text="", answer="NINE")
    assert not Check(answer="nine", url="done$").holds(url="http://x/done/", text="", answer="nine")
    assert not Check(text="ordered").holds(url="", text="not", answer="ordered")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([], "at least one"),
        ("order", "list of tables"),
        ([{"name": "a", "url": "ftp://x", "goal": "g"}], "no address of the web"),
        ([{"name": "a", "url": "http://x:99999", "goal": "g"}], "no address"),
        ([{"name": "a/b", "url": "http://x", "goal": "g"}], "a name is letters"),
        ([{"name": "a", "url": "http://x"}], "task a: goal"),
        ([{"name": "a", "url": "http://x", "goal": "g", "check": {"url": "("}}], "no regular expression"),
        ([{"name": "a", "url": "http://x", "goal": "g"}] * 2, "same name"),
    ],
)
def test_what_is_no_task_is_refused_before_anything_starts(tasks: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        registry.create("web", tasks=tasks)


def test_origins_are_compared_as_browsers_do() -> None:
    assert origin("HTTP://Example.org:80/path?x") == origin("http://example.org") == "http://example.org"
    assert origin("https://example.org:8443/") == "https://example.org:8443"
    assert origin("http://[::1]:80/") == "http://[::1]"
