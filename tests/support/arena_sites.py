"""A server that plays the sites of WebArena's kind: a shop, a forum, a GitLab; each with what its rules look at."""

import json
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.support.loopback import Loopback

SECRET = "emma-is-in"
BOOKS = """<h1>books</h1><a href="/f/books/1/hello/-/comment/9">A comment</a> <a href="/f/books/1/hello">Hello</a>
    <a href="FOREIGN/out">Elsewhere</a>"""
POST = '<h1>Hello</h1><div class="submission__inner">Does anyone know a good atlas?</div>'
MEMBERS = """<table><tr><td data-label="Account"><span class="gl-avatar-labeled-sublabel">@ann</span></td>
    <td class="col-max-role"><span>Guest</span></td></tr>
    <tr><td data-label="Account"><span class="gl-avatar-labeled-sublabel">@bob</span></td>
    <td class="col-max-role"><span>Developer</span></td></tr></table>"""
BIOGRAPHY = """<form method="post" action="/user/MarvelsGrantMan136/edit_biography">
    <label>Biography <input name="user_biography[biography]"></label><button>Save</button></form>"""
SHOP = """<h1>Shop</h1><p>Tea mug, $7.50</p><a href="/search?q=mug&page=1">Mugs</a> <a href="/account">Account</a>
    <form method="post" action="/cart"><button>Add mug</button></form><a href="/prices">Prices</a>"""
PRICES = """<div id="box"><button onclick="this.dataset.open = 1; box.querySelector('input').value = '20'">More</button>
    <input aria-label="Discount" value=""></div>"""


class ArenaSite(Loopback):
    """Serves between `start` and `stop`. `asked`: paths asked for, in order. `reset` forgets the cart, and is away for
    the next two requests."""

    def __init__(self, foreign: str = "") -> None:
        self.asked: list[str] = []
        self.cart: list[str] = []
        self.away = 0
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                site.asked.append(self.path)
                if site.away:
                    site.away -= 1
                    self._say("<p>Back soon.</p>", status=503)
                elif path.startswith("/rest/"):
                    self._rest(path)
                else:
                    self._say(self._page(path).replace("FOREIGN", foreign))

            def do_POST(self) -> None:
                site.asked.append(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                if self.path == "/reset":
                    site.cart, site.away = [], 2
                    self._say("done")
                elif self.path == "/rest/default/V1/integration/admin/token":
                    right = json.loads(body) == {"username": "ada", "password": "key"}
                    self._json("token" if right else {"message": "no"}, 200 if right else 401)
                else:
                    if self.path == "/cart":
                        site.cart.append("Tea mug")
                    self._say("", status=302, Location="/cart" if self.path == "/cart" else "/saved")

            def _page(self, path: str) -> str:
                known = f"who={SECRET}" in (self.headers.get("Cookie") or "")
                if path == "/account":
                    return "<h1>Welcome, Emma</h1>" if known else "<h1>Log in</h1>"
                if path == "/cart":
                    return f"<h1>Cart</h1><ul>{''.join(f'<li>{thing} &amp; saucer</li>' for thing in site.cart)}</ul>"
                return {
                    "/": SHOP,
                    "/prices": PRICES,
                    "/search": "<h1>Mugs</h1>",
                    "/f/books": BOOKS,
                    "/f/books/1/": POST,
                    "/f/books/1/hello": POST,
                    "/f/books/1/hello/-/comment/9": "<p>A comment</p>",
                    "/project/members": MEMBERS,
                    "/sales/order/view/order_id/7/": "<h1>Order 7</h1><p>Tea mug</p>",
                    "/gitlab": '<a href="/dashboard/todos">To-Do List</a>',
                    "/dashboard/todos": "<h1>To-Do List</h1>",
                    "/bio": BIOGRAPHY,
                }.get(path, "<h1>Nothing here</h1>")

            def _rest(self, path: str) -> None:
                if self.headers.get("Authorization") != "Bearer token":
                    self._json({"message": "no"}, 401)
                elif path == "/rest/V1/orders":
                    self._json({"items": [{"increment_id": "000000007"}]}, 200)
                else:
                    ratings = [{"rating_name": "Rating", "percent": 80}]
                    self._json([{"nickname": "old"}, {"nickname": "Emma", "ratings": ratings}], 200)

            def _json(self, what: Any, status: int) -> None:
                self._answer(json.dumps(what).encode(), status, {"Content-Type": "application/json"})

            def _say(self, page: str, status: int = 200, **headers: str) -> None:
                body = f"<!doctype html><title>Site</title><body>{page}".encode()
                self._answer(body, status, {"Content-Type": "text/html; charset=utf-8"} | headers)

            def _answer(self, body: bytes, status: int, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(Handler)


def login(site: ArenaSite) -> dict[str, Any]:
    """A storage state of Playwright's, in which Emma is logged in."""
    cookie = {"name": "who", "value": SECRET, "domain": urlsplit(site.url).hostname, "path": "/", "expires": -1}
    return {"cookies": [cookie | {"httpOnly": False, "secure": False, "sameSite": "Lax"}], "origins": []}


def task(number: int, intent: str, *, site: str = "shopping", start: str = "", **eval_fields: Any) -> dict[str, Any]:
    """A task as WebArena's test.raw.json has it."""
    rules: dict[str, Any] = {"reference_answers": None, "reference_url": "", "program_html": []}
    return {
        "sites": [site],
        "task_id": number,
        "require_login": True,
        "storage_state": f"./.auth/{site}_state.json",
        "start_url": start or f"__{site.upper()}__",
        "geolocation": None,
        "intent_template": "",
        "instantiation_dict": {},
        "intent": intent,
        "require_reset": False,
        "eval": rules | eval_fields,
        "intent_template_id": number // 10,
    }
