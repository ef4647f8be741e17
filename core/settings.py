"""Settings from four places, the first that names a value wins: flags, environment, TOML file, defaults.

Unknown keys are errors wherever they stand, and every error names the key and what was expected.
"""

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from wisen.core.errors import SettingsError

PREFIX = "WISEN_"
# They name parts of this machine, not of a run.
NOT_SETTINGS = frozenset(
    {"WISEN_CHROMIUM", "WISEN_PYTHON", "WISEN_STORE_URL", "WISEN_INDEX_URL", "WISEN_NO_BACKUP", "WISEN_TOKEN"}
)

S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """Base of all settings: immutable, strict, `WISEN_TRAIN__EPOCHS=3` sets `train.epochs`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )


def load(shape: type[S], *, file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> S:
    """Read settings of a shape. `overrides` are nested, as the file is. Raises `SettingsError`."""
    if file is not None and not file.is_file():
        raise SettingsError(f"there is no settings file {file}")
    _refuse_unknown_variables(shape)

    class _Loaded(shape):  # type: ignore[valid-type, misc]
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            if file is None:
                return init_settings, env_settings
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=file)

    try:
        loaded = _Loaded(**(overrides or {}))
    except ValidationError as error:
        raise SettingsError(_explained(error, shape), f"from flags, environment or {file or 'no file'}") from error
    except UnreadableVariable as error:
        raise SettingsError(str(error), "a variable for a list or a table holds JSON") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from error
    made = shape.model_construct(**{name: getattr(loaded, name) for name in shape.model_fields})
    return cast("S", made)  # mypy's plugin for pydantic forgets the type here


def nested(assignments: Iterable[str]) -> dict[str, Any]:
    """`["train.epochs=3"]` as `{"train": {"epochs": 3}}`. Values are TOML where they parse as such, else text."""
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"{assignment!r} sets nothing", "write KEY=VALUE, such as train.epochs=3")
        *path, last = key.strip().split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{key} goes through a value that is set already")
        if isinstance(place.get(last), dict):
            raise SettingsError(f"{key} is set in parts already")
        place[last] = _value(text)
    return result


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings on top of one another; later ones win."""
    result: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = result.get(key)
            both = isinstance(below, dict) and isinstance(value, Mapping)
            result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explained(error: ValidationError, shape: type[BaseModel]) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(key, sorted(_keys(shape)), n=1)
            lines.append(f"unknown setting {key}" + (f", did you mean {near[0]}?" if near else ""))
        else:
            lines.append(f"setting {key}: {problem['msg']}, got {problem['input']!r}")
    return "; ".join(lines)


def _family(shape: type[Settings]) -> set[type[Settings]]:
    """The shapes that share a base with this one, such as those of a program's commands: what is set in the environment
    is set for all of them, and each takes its own."""
    *_, found = (base for base in shape.__mro__ if issubclass(base, Settings) and base is not Settings)
    family, waiting = set(), [found]
    while waiting:
        family.add(one := waiting.pop())
        waiting += one.__subclasses__()
    return family


def _keys(shape: type[BaseModel], prefix: str = "") -> set[str]:
    keys = set()
    for name, field in shape.model_fields.items():
        keys.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys |= _keys(field.annotation, f"{prefix}{name}.")
    return keys


def _refuse_unknown_variables(shape: type[Settings]) -> None:
    keys = {key for one in _family(shape) for key in _keys(one)}
    known = {PREFIX + key.upper().replace(".", "__") for key in keys} | NOT_SETTINGS
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            raise SettingsError(f"unknown variable {name}", f"did you mean {near[0]}?" if near else "unset it")
