"""TOML files of settings: presets, recipes, configurations."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from redust.core.errors import SettingsError

_MAX_BYTES = 1_000_000


def read_toml(path: Path, subject: str) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    subject
        What the file is, for messages: ``"preset"``.

    Raises
    ------
    SettingsError
        If it is missing, no regular file, larger than a megabyte, or no TOML that Python can hold.
    """
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise SettingsError(f"The {subject} {path} is a folder or a device. Give a TOML file.")
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise SettingsError(f"The {subject} {path} is larger than a megabyte. Give a TOML file of settings.")
        return tomllib.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"The {subject} {path} cannot be read: {reason}. Check the path and the TOML.") from error
