"""A small site to act on: pages, a form, a way out that is redirected, a window, a download, a flooded console."""

from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.loopback import Loopback

LONG = "".join(f"<p><button>number {number}</button></p>" for number in range(400))
PAGES = {
    "/": """<title>Shop</title><h1>Shop</h1><a href="/order">Order</a> <a href="/leave">Elsewhere</a>
        <a href="/about" target="_blank">About us</a> <a href="/prices.csv">Prices</a> <a href="/long">Long</a>
        <a href="/traps">Traps</a> <a href="/frame">Frame</a>""",
    "/order": """<title>Order</title><form action="/done"><label>Thing <input name="thing"></label>
        <label>Size <select name="size"><option>small<option>large</select></label><button>Send</button></form>""",
    "/about": "<title>About</title><p>We are open until nine.</p>",
    "/long": f"<title>Long</title>{LONG}",
    "/frame": '<title>Frame</title><iframe src="/about"></iframe><iframe src="FOREIGN/inner"></iframe>',
    "/traps": """<title>Traps</title>
        <button onclick="for (let i = 0; i < 3000; i++) console.log('x'.repeat(200), i)">Flood</button>
        <button onclick="addEventListener('beforeunload', e => { e.preventDefault(); e.returnValue = 1 })">Hold</button>
        <button onclick="for (let i = 0; i < 9; i++) window.open('/about')">Windows</button>
        <button onclick="fetch('FOREIGN/data', {mode: 'no-cors'}).catch(() => 0)">Fetch</button>
        <button onclick="location.href = 'FOREIGN/out'">Out</button>
        <button onclick="window.open('FOREIGN/window')">Out in a window</button>
        <button onclick="if (!confirm('Delete all?')) this.textContent = 'Kept'">Delete</button>
        <button onclick="const s = new WebSocket('FOREIGN'.replace('http', 'ws') + '/socket');
                         s.onerror = () => this.textContent = 'No socket'">Socket</button>""",
}


class SmallSite(Loopback):
    """Serves between `start` and `stop`. `asked` holds all paths that were asked for."""

    def __init__(self, foreign: str = "") -> None:
        self.asked: list[str] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                parts = urlsplit(self.path)
                if parts.path == "/leave":
                    self.send_response(302)
                    self.send_header("Location", f"{foreign}/stolen")
                    self.end_headers()
                    return
                self.send_response(200)
                if parts.path == "/prices.csv":
                    self.send_header("Content-Disposition", 'attachment; filename="../../prices list.csv"')
                    self.end_headers()
                    self.wfile.write(b"tea,3\n")
                    return
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                given = {key: values[0] for key, values in parse_qs(parts.query).items()}
                done = f"<title>Done</title><p>Ordered: {given.get('size')} {given.get('thing')}</p>"
                body = done if parts.path == "/done" else PAGES.get(parts.path, "<p>Nothing here.</p>")
                self.wfile.write(f"<!doctype html><body>{body.replace('FOREIGN', foreign)}".encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        super().__init__(Handler)
