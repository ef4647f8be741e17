"""WebArena's rules for an end, as pure functions. What a rule asks for comes from the task file."""

import html
import re
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

EITHER = " |OR| "
_WORD = re.compile(r"\w+(?:[.,:'-]\w+)*|[^\w\s]")


def plain(text: str) -> str:
    """As answers are compared: without space and one pair of quotes around, in small letters."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.lower()


def same(wanted: str, said: str) -> bool:
    return plain(wanted) == plain(said)


def includes(wanted: str, said: str, *, alone: bool = False) -> bool:
    """Whether the words occur. A single sign that is all that is wanted (`alone`) must be a word of its own: the 2 of
    "12" is none. What a word is, WebArena leaves to NLTK; here it is letters and digits with points, commas, colons,
    dashes and apostrophes inside."""
    wanted, said = plain(wanted), plain(said)
    if alone and len(wanted) == 1:
        return wanted in _WORD.findall(said)
    return wanted in said


def all_included(wanted: Sequence[str], said: str) -> bool:
    return all(includes(one, said, alone=len(wanted) == 1) for one in wanted)


def shown(wanted: Sequence[str], content: str) -> bool:
    """Whether a page's content has all of these, each maybe a choice of several."""
    content = html.unescape(content)
    return all(any(includes(choice, content) for choice in one.split(EITHER)) for one in wanted)


def arrived(reference: str, url: str) -> bool:
    """Whether an address is where the task leads: host and path contain one of the reference's, and for each parameter
    that any of these names, the address has one of its values."""
    paths, parameters = [], defaultdict(set)
    for one in reference.split(EITHER):
        path, query = _parts(one)
        paths.append(path)
        for name, values in query.items():
            parameters[name].update(values)
    here, asked = _parts(url)
    return any(path in here for path in paths) and all(
        values & set(asked.get(name, ())) for name, values in parameters.items()
    )


def _parts(url: str) -> tuple[str, dict[str, list[str]]]:
    parts = urlsplit(url.strip().rstrip("/"))
    return (parts.netloc + parts.path).rstrip("/"), parse_qs(parts.query)
