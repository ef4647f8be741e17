"""A report's record, read back from its file."""

from pathlib import Path

from pydantic import ValidationError

from wisen.core.errors import StoreError
from wisen.core.records import RunReport


def read_report(path: Path) -> RunReport:
    """The record that a run left in `path` (JSON). Raises `StoreError` if the file cannot be read, is damaged, or was
    written by a version of wisen whose records had other fields."""
    again = "give the run's `wisen evolve` command again: it plays nothing twice and writes the report anew"
    try:
        return RunReport.model_validate_json(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first, *more = error.errors(include_url=False, include_input=False)
        if first["type"] == "json_invalid":
            raise StoreError(f"{path} is damaged: it is not whole JSON", again) from error
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        others = f" and {len(more)} more" if more else ""
        raise StoreError(f"{path} is of another version of wisen ({where}: {first['msg']}{others})", again) from error
