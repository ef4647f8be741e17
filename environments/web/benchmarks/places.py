"""Where WebArena's sites are, and who is logged in there."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wisen.core.errors import SettingsError
from wisen.environments.web.gate import origin

SITES = ("shopping", "shopping_admin", "reddit", "gitlab", "wikipedia", "map", "homepage")
NOWHERE = ("", "todo", "pass")  # what people write for a site that they do not have


class Places:
    """sites: addresses by site. What is not among them is looked for in the variables `WA_SHOPPING` and `SHOPPING` (and
    so on), in this order. storage_state: a folder of `SITE_state.json`, or files by site. origins: what may be reached
    besides. Raises `SettingsError`."""

    def __init__(
        self,
        suite: str,
        sites: Mapping[str, str] | None = None,
        storage_state: str | Mapping[str, str] = "",
        origins: Iterable[str] = (),
    ) -> None:
        self._suite = suite
        self.urls = {site: url for site in SITES if (url := self._address(site, sites or {}))}
        self._states = self._logins(storage_state)
        self._origins = tuple(origin(one) for one in origins)
        for given in (sites or {}, self._states):
            if strange := sorted(set(given) - set(SITES)):
                raise SettingsError(f"{suite}: there is no site {strange[0]!r}", f"there are {', '.join(SITES)}")

    def missing(self, sites: Iterable[str]) -> str:
        """The first of these sites that has no address, or nothing."""
        return next((site for site in sites if site not in self.urls), "")

    def filled(self, text: str) -> str:
        """With addresses for `__SHOPPING__` and the others."""
        for site, url in self.urls.items():
            text = text.replace(f"__{site.upper()}__", url)
        return text

    def origins(self, sites: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(origin(self.urls[site]) for site in sites), *self._origins]))

    def states(self, sites: Iterable[str]) -> tuple[str, ...]:
        """The storage states of these sites, as far as there are any."""
        return tuple(dict.fromkeys(self._states[site] for site in sites if site in self._states))

    def _address(self, site: str, given: Mapping[str, str]) -> str:
        name = site.upper()
        url = given.get(site) or os.environ.get(f"WA_{name}") or os.environ.get(name) or ""
        if url.strip().casefold() in NOWHERE:
            return ""
        try:
            origin(url)
        except SettingsError as error:
            raise SettingsError(f"{self._suite}: the address of {site}: {error.problem}", error.hint) from error
        return url.strip().rstrip("/")

    def _logins(self, given: str | Mapping[str, str]) -> dict[str, str]:
        if isinstance(given, str):
            if not given:
                return {}
            folder = Path(given).expanduser()
            found = {site: folder / f"{site}_state.json" for site in SITES}
            states = {site: str(path) for site, path in found.items() if path.is_file()}
            if not states:
                raise SettingsError(f"{self._suite}: {given} holds no SITE_state.json", "let Playwright write them")
            return states
        files = {site: Path(path).expanduser() for site, path in given.items()}
        for site, path in files.items():
            if not path.is_file():
                raise SettingsError(f"{self._suite}: the storage state of {site}, {path}, is not there")
        return {site: str(path) for site, path in files.items()}
