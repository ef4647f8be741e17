"""Listening: the address, the token, and an end in good order."""

import ipaddress
import secrets
import socket
from collections.abc import Callable, Mapping

from wisen.core.errors import SettingsError
from wisen.core.listening import listen
from wisen.models.local import LocalModel


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def chosen_token(given: str, host: str) -> str:
    """The token given, or a new one. Raises `SettingsError` where others could reach a server whose token nobody
    chose."""
    if given and (not given.isascii() or not given.isprintable() or " " in given):
        raise SettingsError("the token holds what an HTTP header cannot carry", "use letters, digits and - _ .")
    if not given and not is_loopback(host):
        raise SettingsError(
            f"{host} can be reached by others, so the server needs a token that you chose",
            "give --token or set WISEN_TOKEN, or leave --host at 127.0.0.1",
        )
    return given or f"wisen-{secrets.token_urlsafe(24)}"


def bound(host: str, port: int) -> socket.socket:
    """A socket at an address of this machine; port 0 takes a free one. Raises `SettingsError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            # Now: Linux lets two sockets bind to one address, and refuses the second only when it listens.
            listener.listen(2048)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"cannot listen on {host}:{port}: {said}", "choose another --port, or 0 for any") from error
    return listener


def address(listener: socket.socket) -> str:
    """The base of the URLs, as a client takes it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


async def serve(
    models: Mapping[str, LocalModel],
    listener: socket.socket,
    token: str,
    *,
    runtime_adapters: bool = False,
    on_ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until cancelled, then end what is in progress, close the models, and pass the cancellation on.
    runtime_adapters: as in `create_app`."""
    from wisen.app.server.routes import create_app

    async def close() -> None:  # it ends every answer in progress, so that there is nothing to wait for
        for model in set(models.values()):
            await model.close()

    app = create_app(models, token, runtime_adapters=runtime_adapters)
    await listen(app, listener, on_ready=on_ready, ending=close, http="h11", ws="none", timeout_keep_alive=60)
