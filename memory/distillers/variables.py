"""Variables as models write them, {name}, and the check that none is used that was not declared."""

import re
from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import Field

VARIABLE = re.compile(r"\{([A-Za-z_]\w*)\}")
Name = Annotated[str, Field(max_length=40, pattern=r"\A[A-Za-z_]\w*\z")]


def undeclared(declared: Collection[str], texts: Iterable[str]) -> tuple[str, ...]:
    """Names of variables that the texts use and nobody declared, sorted."""
    return tuple(sorted({name for text in texts for name in VARIABLE.findall(text)} - set(declared)))


def unused(declared: Collection[str], texts: Iterable[str]) -> tuple[str, ...]:
    """Names that were declared and that no text uses, sorted."""
    return tuple(sorted(set(declared) - {name for text in texts for name in VARIABLE.findall(text)}))
