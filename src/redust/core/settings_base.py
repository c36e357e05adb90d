"""What all settings have in common: frozen, validated, read from presets, refused in words."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from redust.core.errors import SettingsError
from redust.core.toml_file import read_toml

_LONGEST_VALUE = 80  # characters of a bad value that a message repeats


def parse_share(value: Any) -> Any:
    """A share, 0..1, of text such as ``2%`` or ``0.02``; other values as they are."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


class Settings(BaseModel):
    """Frozen, validated, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Fields of which one may be given: a keyword for one overrules what a preset says of the other.
    rivals: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def of(cls, **choices: Any) -> Self:
        """Build from keywords.

        Raises
        ------
        SettingsError
            If a key is unknown or a value is out of bounds; the message names each.
        """
        try:
            return cls(**choices)
        except ValidationError as error:
            raise SettingsError(f"{explain(error, cls)}. Correct it, or leave it out for the default.") from error

    @classmethod
    def from_preset(cls, path: Path, **choices: Any) -> Self:
        """Build from a TOML preset; keywords given here win over it.

        Raises
        ------
        SettingsError
            If the file is missing, is no TOML, or holds an unknown key or a bad value.
        """
        return cls.of(**cls._overruled(cls.preset_choices(path), choices))

    @classmethod
    def _overruled(cls, preset: dict[str, Any], choices: dict[str, Any]) -> dict[str, Any]:
        """A preset's choices where `choices` do not say otherwise, and these."""
        beaten = cls.rivals if cls.rivals & choices.keys() else frozenset()
        return {name: value for name, value in preset.items() if name not in beaten} | choices

    @classmethod
    def preset_choices(cls, path: Path) -> dict[str, Any]:
        """What a TOML preset chooses, checked against this class.

        Raises
        ------
        SettingsError
            As :meth:`from_preset`.
        """
        preset = read_toml(path, "preset")
        try:
            cls(**preset)
        except ValidationError as error:
            raise SettingsError(f"The preset {path} does not fit: {explain(error, cls)}. Correct that line.") from error
        return preset


def explain(error: ValidationError, kind: type[Settings] | None = None) -> str:
    """A validation error as one sentence without a trailing full stop.

    Parameters
    ----------
    kind
        The class whose settings are suggested for one that does not exist.
    """
    return "; ".join(_explain_item(item, kind) for item in error.errors())


def _explain_item(item: Any, kind: type[Settings] | None) -> str:
    name = ".".join(str(step) for step in item["loc"]) or "settings"
    if item["type"] == "extra_forbidden":
        similar = get_close_matches(name, kind.model_fields if kind else (), n=1)
        return f"there is no setting `{name}`" + (f" (did you mean `{similar[0]}`?)" if similar else "")
    message = item["msg"].removeprefix("Value error, ")
    if not item["loc"]:
        return str(message)
    value = repr(item["input"])
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}..."
    return f"`{name}`: {message[:1].lower()}{message[1:]}, got {shown}"
