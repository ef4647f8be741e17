"""The gate's patterns: what they stand for, and that they do not open this machine's own network."""

import asyncio
from collections.abc import Iterable

import pytest

from tests.support.small_site import SmallSite
from wisen.environments.web import gate
from wisen.environments.web.gate import BLOCKED, Gate, allows, public


@pytest.mark.parametrize(
    ("allowed", "asked", "allows_it"),
    [
        ("https://*.example.org", "https://cdn.example.org", True),
        ("https://*.example.org", "https://a.b.example.org", True),
        ("https://*.example.org", "https://example.org", False),
        ("https://*.example.org", "http://cdn.example.org", False),
        ("https://*.example.org", "https://cdn.example.org:8443", False),
        ("https://*.example.org", "https://notexample.org", False),
        ("https://*.example.org", "https://example.org.evil.test", False),
        ("https://*.example.org:8443", "https://cdn.example.org:8443", True),
        ("https://*", "https://anything.test", True),
        ("https://*", "https://anything.test:8443", False),
        ("https://*", "http://anything.test", False),
        ("https://example.org", "https://cdn.example.org", False),
    ],
)
def test_what_a_pattern_stands_for(allowed: str, asked: str, allows_it: bool) -> None:
    assert allows([allowed], asked) is allows_it


def test_which_addresses_are_of_the_internet() -> None:
    assert public("93.184.216.34") and public("2606:2800:220:1::1")
    assert not any(map(public, ("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fe80::1%eth0")))


async def through(site: SmallSite, allowed: Iterable[str]) -> tuple[str, list[str]]:
    """What a request for `localhost` gets through a gate, and what the gate has blocked."""
    made = Gate()
    made.allow(allowed)
    await made.open()
    try:
        host, port = made.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        at = f"localhost:{site.url.rpartition(':')[2]}"
        writer.write(f"GET http://{at}/about HTTP/1.1\r\nHost: {at}\r\n\r\n".encode())
        text = (await reader.read()).decode()
        writer.close()
        return text, made.blocked
    finally:
        await made.close()


async def test_a_pattern_reaches_public_addresses_only(monkeypatch: pytest.MonkeyPatch) -> None:
    site = SmallSite()
    site.start()
    try:
        port = site.url.rpartition(":")[2]
        pattern = [f"http://*host:{port}"]
        text, blocked = await through(site, pattern)
        assert BLOCKED in text and blocked == [f"localhost:{port}"] and site.asked == []
        monkeypatch.setattr(gate, "public", lambda address: address in ("127.0.0.1", "::1"))
        text, blocked = await through(site, pattern)
        assert "open until nine" in text and blocked == []
        text, blocked = await through(site, [f"http://*.localhost:{port}"])
        assert BLOCKED in text and site.asked == ["/about"]
    finally:
        site.stop()
