"""The doctor's look at a remote model: is its key set, and, where an address is given, does the server know it?"""

import json
import os
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from wisen.app.check import Check

WAIT = 5.0  # seconds for a server's list of models
LARGEST = 1_000_000  # bytes of it that are read


def check_remote(name: str, what: str, *, api_base: str = "") -> Check:
    """Nothing is generated, and without `api_base` nothing is asked of the provider. what: how the model is called in
    the finding."""
    from wisen.models.remote import load_litellm

    provider, slash, served = name.partition("/")
    if not slash:
        advice = "write PROVIDER/NAME, such as openai/gpt-x"
        return Check(part="model", ok=False, found=f"{name!r} names no remote model", advice=advice)
    answer = load_litellm().validate_environment(model=name)
    missing = ", ".join(answer.get("missing_keys") or ())
    if api_base:
        return _at_server(what, provider, served, api_base)
    if answer.get("keys_in_environment"):
        return Check(part="model", ok=True, found=f"{what}: the provider's key is set")
    if not missing:
        return Check(
            part="model", ok=None, found=f"{what}: which key it needs is not known", advice="try it: wisen run"
        )
    advice = f"set {missing}; a server of your own (--api-base) may need none"
    return Check(part="model", ok=None, found=f"{what}: {missing} is not set", advice=advice)


def _at_server(what: str, provider: str, served: str, api_base: str) -> Check:
    def finding(ok: bool, said: str, advice: str = "") -> Check:
        return Check(part="model", ok=ok, found=f"{what} at {api_base}: {said}", advice=advice)

    if urlsplit(api_base).scheme not in ("http", "https"):
        return finding(False, "no address", "it begins with http:// or https://")
    key = os.environ.get(f"{provider.upper()}_API_KEY", "")
    try:
        listed = _models(api_base, key)
    except HTTPError as refused:
        if refused.code in (401, 403):
            variable = f"{provider.upper()}_API_KEY"
            return finding(False, f"the key is refused ({refused.code})", f"set {variable} to the server's key")
        return finding(False, f"no list of models ({refused.code})", "is this the address of its API, such as .../v1?")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return finding(False, f"cannot be asked: {reason}", "does it run, and is this the address of its API?")
    if served in listed:
        return finding(True, "the server has it")
    return finding(False, "the server does not have it", f"it has {', '.join(sorted(listed)[:10]) or 'none'}")


def _models(api_base: str, key: str) -> set[str]:
    """The models' names, by OpenAI's API. Ollama has it under /v1 of the address that LiteLLM takes."""
    base = api_base.rstrip("/")
    places = [f"{base}/models"] if base.endswith("/v1") else [f"{base}/v1/models", f"{base}/models"]
    for place in places[:-1]:
        try:
            return _listed(place, key)
        except HTTPError as refused:
            if refused.code != 404:
                raise
    return _listed(places[-1], key)


def _listed(url: str, key: str) -> set[str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with urlopen(Request(url, headers=headers), timeout=WAIT) as response:
        body: Any = json.loads(response.read(LARGEST))
    if not isinstance(body, dict) or not isinstance(body.get("data"), list):
        raise ValueError("it sent no list of models")
    return {str(each["id"]) for each in body["data"] if isinstance(each, dict) and "id" in each}
