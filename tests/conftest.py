"""What all tests share: a quiet, offline process, and the reasons for which a test may be skipped."""

import os

import pytest

from tests.support.servers import chroma, postgres, postgres_database, postgres_server, postgres_url, small_disk

__all__ = ["chroma", "postgres", "postgres_database", "postgres_server", "postgres_url", "small_disk"]

# Before anything imports torch or litellm: idle threads sleep instead of spinning, and nothing asks the network.
for name, value in {
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
    "TOKENIZERS_PARALLELISM": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HF_HUB_OFFLINE": "1",
    "ANONYMIZED_TELEMETRY": "False",
}.items():
    os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, saying why. Chromium is not optional where CI is set."""
    if any(item.get_closest_marker("sandbox") for item in items):
        _skip(items, "sandbox", _without_sandbox())
    if any(item.get_closest_marker("browser") for item in items):
        _skip(items, "browser", _without_browser())


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    if reason:
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _without_sandbox() -> str:
    from wisen.environments.code.sandbox import sandbox_level

    level = sandbox_level()
    return "" if level.level == "namespaces" else f"no sandbox here: {level.detail}"


def _without_browser() -> str:
    from wisen.environments.web.browser import find_chromium

    return "" if os.environ.get("CI") or find_chromium() else "no Chromium here (script/setup installs it)"
