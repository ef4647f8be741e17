"""What WebArena's tasks write as `func:NAME(...)`: small programs that find an address or a value on its sites.

The names are the benchmark's, misspelled or not. Nothing of a task file is evaluated here.
"""

import ast
import json
import os
import re
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from wisen.core.errors import EnvironmentFault
from wisen.environments.web.benchmarks.reset import opened

if TYPE_CHECKING:
    from playwright.async_api import Page

USER, PASSWORD = "WA_SHOPPING_ADMIN_USER", "WA_SHOPPING_ADMIN_PASSWORD"
_SECONDS = 30.0
_CALL = re.compile(r"func:\s*(\w+)\((.*)\)\s*", re.DOTALL)
_ROLE = """
name => {
  for (const row of document.querySelectorAll('tr')) {
    const account = row.querySelector('[data-label="Account"] .gl-avatar-labeled-sublabel');
    if (account && account.innerText.trim() === '@' + name)
      return row.querySelector('.col-max-role span')?.innerText ?? '';
  }
  return '';
}
"""


@dataclass(frozen=True)
class Call:
    """A program by name, with what it is given: texts, where the task writes `__page__` an empty one."""

    name: str
    given: tuple[str, ...]


class Shop:
    """The shop's own interface, as its administrator. Blocking."""

    def __init__(self, url: str) -> None:
        self._url = url

    def latest_order(self) -> str:
        """The address of the newest order."""
        newest = {"field": "created_at", "direction": "DESC"}
        query = {f"searchCriteria[sortOrders][0][{key}]": value for key, value in newest.items()}
        found = self._ask(f"/rest/V1/orders?{urlencode(query | {'searchCriteria[pageSize]': '1'})}")
        try:
            return f"{self._url}/sales/order/view/order_id/{int(found['items'][0]['increment_id'])}/"
        except (LookupError, TypeError, ValueError) as error:
            raise EnvironmentFault(f"{self._url} names no newest order") from error

    def latest_review(self, product: str, of: Callable[[Any], Any]) -> str:
        """Something of a product's newest review; empty where it has none."""
        found = self._ask(f"/rest/V1/products/{quote(product)}/reviews")
        try:
            return str(of(found[-1])) if found else ""
        except (LookupError, TypeError) as error:
            raise EnvironmentFault(f"{self._url}: the reviews of {product} cannot be read") from error

    def _ask(self, path: str) -> Any:
        account = {"username": os.environ.get(USER, ""), "password": os.environ.get(PASSWORD, "")}
        token = self._said("/rest/default/V1/integration/admin/token", json.dumps(account).encode())
        return self._said(path, None, {"Authorization": f"Bearer {token}"})

    def _said(self, path: str, body: bytes | None, headers: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._url}{path}", body, {"Content-Type": "application/json"} | (headers or {})
        )
        try:
            with opened(request, _SECONDS) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise EnvironmentFault(
                f"{self._url}{path.partition('?')[0]}: {error}", f"see {USER}, {PASSWORD}"
            ) from error


def post_url(url: str) -> str:
    """The forum post that an address, maybe of one of its comments, belongs to; else the address itself."""
    parts = urlsplit(url)
    names = parts.path.split("/")
    return f"{parts.scheme}://{parts.netloc}/f/{names[2]}/{names[3]}/" if len(names) > 3 and names[1] == "f" else url


async def role(page: "Page", account: str) -> str:
    """What someone is in the project whose members the page lists."""
    return str(await page.evaluate(_ROLE, account))


OF_ADDRESS = frozenset({"reddit_get_post_url", "shopping_get_latest_order_url"})
OF_REVIEW: dict[str, Callable[[Any], Any]] = {
    "shopping_get_sku_latest_review_author": lambda review: review["nickname"],
    "shopping_get_sku_latest_review_rating": lambda review: review["ratings"][0]["percent"],
}
OF_PAGE = frozenset({"gitlab_get_project_memeber_role", *OF_REVIEW})
_TAKES = {
    "reddit_get_post_url": 1,
    "shopping_get_latest_order_url": 0,
    "gitlab_get_project_memeber_role": 2,
} | dict.fromkeys(OF_REVIEW, 1)
ADMINISTRATOR = frozenset({"shopping_get_latest_order_url", *OF_REVIEW})


def call(text: str) -> Call | None:
    """The program that a text calls; None if it is none of the above with plain texts."""
    match = _CALL.fullmatch(text.strip())
    if match is None or match[1] not in _TAKES:
        return None
    try:
        given = ast.literal_eval(f"({match[2].replace('__page__', repr(''))},)" if match[2].strip() else "()")
    except (SyntaxError, ValueError):
        return None
    fits = len(given) == _TAKES[match[1]] and all(isinstance(one, str) for one in given)
    return Call(match[1], given) if fits else None


def administrates() -> bool:
    """Whether the administrator of the shop is known."""
    return bool(os.environ.get(USER) and os.environ.get(PASSWORD))
