"""Writes `command-line.md`, `settings.md` and `http-api.md` from the program: `python docs/reference/generate.py`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from redust.cli.app import app
from redust.cli.flags import describe, flag_name
from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings, ScanSettings
from redust.studio.app import ENDPOINTS
from redust.studio.endpoint import Endpoint
from redust.studio.openapi import described_path
from redust.studio.records import Edit
from redust.studio.refusals import STATUS_BY_KIND

HERE = Path(__file__).parent
NOTE = "<!-- Made by docs/reference/generate.py; change the program, not this page. -->\n"

COMMAND_LINE = """# Command line

{note}
`redust COMMAND --help` says the same in the terminal. `redust --version` tells the version.

- `SCAN` is a file or a folder; of a folder all scans below it are taken, without hidden files, links and earlier
  results (`*.restored.*`). The output folder is not searched. Infrared channels (`roll_1_IR.tif` beside `roll_1.tif`),
  masks, thumbnails, sidecars, originals and layers are companions of a scan, and left alone.
- `restore` of several scans with `-o` keeps a ledger in the output folder: run again, it does what is left
  ([how](../how-to/an-archive-of-scans.md)).
- Several scans keep their tree below the output folder. `a.tif` has the mask `a.png`; where a folder holds `a.tif` and
  `a.jpg`, they have `a.tif.png` and `a.jpg.png`. Scans whose results would still share a path, or take an input's,
  fail before any work starts; the others go on. A scan is never written over, under none of its names, not even with
  `--overwrite`; `restore --in-place` alone replaces one, and keeps the original beside it.
- Files of a folder that are no scans by their suffix, and links, are counted and named at the end, and the report has
  them as `skipped`. Failures are listed once more at the end.
- The report of `detect` grows line by line: after a crash it tells what was done. That of `restore` over several scans
  is written at the end, from the ledger; `redust status OUT --report FILE` writes it at any time.
- Names are shown with control characters and bytes that are not UTF-8 escaped (`\\x1b`); `--json` gives them back.
- Results go to standard output, one line per scan, or with `--json` one [report](python.md#report) per line; progress,
  warnings and errors go to standard error. A terminal gets a progress bar.
- One scan that fails does not stop the others, nor does output that is closed, full or left by its reader. The exit
  code is that of the first failure:

| code | meaning |
|---|---|
| 0 | everything was done |
| 2 | the command or a choice cannot be carried out; nothing was begun |
| 3 | a scan or mask cannot be used |
| 4 | a result cannot be written: it exists, does not fit the format, or the disk refuses; or standard output is lost |
| 5 | a detector or fill failed |
| 6 | weights or their card are missing or damaged |
| 8 | scans were left alone, for review: more would be changed than `--max-change` |
| 9 | `redust verify` found results that are missing or changed |
| 1, 70 | another failure; 70 if nobody foresaw it (`--verbose` shows the traceback) |
| 130, 143, 129 | interrupted, terminated, hung up; what was finished stays, nothing is half written |

`NAME/--no-NAME` undoes what a preset says. Every setting is described once more, with its type, in
[settings](settings.md).
"""

SETTINGS = """# Settings

{note}
Every choice is written once, in `redust.core.settings`. It is a flag (`--min-size 4`), a keyword
(`redust.restore(scan, min_size=4)`) and a line of a preset:

```toml
# roll.toml: redust restore roll/ -o restored --preset roll.toml
level = 0.4
min_size = 4
polarity = "bright"
```

Flags and keywords win over a preset, a preset over the defaults. One preset serves all commands; an unknown name or a
value out of bounds is an error that says which.
"""

HTTP_API = """# HTTP API

{note}
What the studio's page does, a program can do: `redust studio` serves the page and this API. The description in OpenAPI
3.1 is served at `/api/openapi.json`. [How to serve the studio](../how-to/serve-the-studio.md).

- **Token.** Send `Authorization: Bearer TOKEN` with every request but `/api/health`. The token is that of the address
  that `redust studio` prints, or of the environment variable `REDUST_STUDIO_TOKEN`. A browser that opens that address
  gets a session in a cookie; whatever changes something then bears the header `X-Redust: 1` as well.
- **Scans** have opaque identifiers. A client never names a file or folder of the server.
- **Coordinates** are pixels of the scan as it is stored, x right, y down; a box is x, y, width, height.
- **Jobs.** What takes a while answers 202 with a job. Ask for it, or listen to `/api/events`.
- **Errors** are JSON: `error`, a sentence that says what to do, and `code`.

```python
import json, pathlib, time, urllib.parse, urllib.request


def call(method, path, body=None, **headers):
    headers["Authorization"] = "Bearer " + TOKEN
    request = urllib.request.Request("http://127.0.0.1:8000" + path, body, headers, method=method)
    return urllib.request.urlopen(request).read()


file = pathlib.Path("scan.tif")
scan = json.loads(call("POST", "/api/scans", file.read_bytes(), **{{"X-Filename": urllib.parse.quote(file.name)}}))
job = json.loads(call("POST", f"/api/scans/{{scan['id']}}/export", b"{{}}"))  # detects first
while json.loads(call("GET", f"/api/jobs/{{job['id']}}"))["state"] in ("queued", "running"):
    time.sleep(1)
pathlib.Path("restored.tif").write_bytes(call("GET", f"/api/scans/{{scan['id']}}/result"))
```
"""


def command_line() -> str:
    """The page on the commands."""
    parts = [COMMAND_LINE.format(note=NOTE)]
    parts += [_command(one.callback) for one in app.registered_commands if one.callback is not None]
    return "\n".join(parts)


def settings() -> str:
    """The page on the settings."""
    parts = [SETTINGS.format(note=NOTE)]
    for kind in (DetectSettings, RepairSettings, ScanSettings):
        parts.append(f"## {_first_line(kind).rstrip('.')}\n")
        parts.append(_table(("setting", "type", "meaning"), _rows_of(kind)))
    parts.append(f"## {_first_line(RestoreSettings).split('.')[0]}\n")
    parts.append(_table(("setting", "type", "meaning"), _rows_of(RestoreSettings)))
    return "\n".join(parts)


def http_api() -> str:
    """The page on the HTTP API."""
    codes = sorted({(str(status), f"`{code}`") for status, code in STATUS_BY_KIND.values()} | {("500", "`engine`")})
    return "\n".join([
        HTTP_API.format(note=NOTE),
        "## Endpoints\n",
        _table(("", "takes", "answers", ""), map(_endpoint, ENDPOINTS)),
        "## Errors\n",
        _table(("status", "code"), codes),
    ])  # fmt: skip


def _endpoint(endpoint: Endpoint) -> tuple[str, str, str, str]:
    query = ", ".join(f"`{name}`" for name in endpoint.query.model_fields) if endpoint.query else ""
    body = "" if endpoint.body is None else "Edit" if endpoint.body is Edit else endpoint.body.__name__
    takes = f"`{endpoint.body_type}`" if body == "bytes" else body
    answer = endpoint.answer if isinstance(endpoint.answer, str) else endpoint.answer.__name__
    answer = f"`{answer}`" if "/" in answer else answer
    path = described_path(endpoint)
    return f"`{endpoint.method} {path}`", takes or query, f"{endpoint.status} {answer}", endpoint.summary


def _rows_of(kind: type[ScanSettings]) -> Iterator[tuple[str, str, str]]:
    lower = {ScanSettings: (), RestoreSettings: (DetectSettings, RepairSettings)}.get(kind, (ScanSettings,))
    inherited = {name for one in lower for name in one.model_fields}
    for name, field in kind.model_fields.items():
        if name not in inherited:
            yield f"`{name}`", _type(field.annotation), describe(field)


def _type(annotation: Any) -> str:
    """A type in words: ``int | None`` is int, a tuple of dusts is a list of dust."""
    inner = [one.__name__ for one in get_args(annotation) if isinstance(one, type) and one is not type(None)]
    if get_origin(annotation) is tuple:
        return f"list of {inner[0]}"
    return " or ".join(inner) or str(annotation.__name__)


def _command(command: Callable[..., Any]) -> str:
    name = command.__name__
    panels: dict[str, list[tuple[str, str]]] = {}
    usage = ["redust", name]
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        (info,) = (one for one in get_args(parameter.annotation) if hasattr(one, "param_decls"))
        needed = parameter.default is inspect.Parameter.empty
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            usage.append(
                f"{info.metavar or parameter.name.upper()}{'...' if 'list' in str(parameter.annotation) else ''}"
            )
            continue
        flags = _flags(parameter.name, info)
        value = f" {info.metavar}" if info.metavar else ""
        if needed:
            usage.append(f"{flags[0]}{value}")
        words = ", ".join(f"`{flag}{value}`" for flag in flags)
        panels.setdefault(info.rich_help_panel or "Options", []).append((words, info.help or ""))
    parts = [f"## redust {name}\n", f"{_first_line(command)}\n", f"```\n{' '.join(usage)} [OPTIONS]\n```\n"]
    for panel, rows in panels.items():
        parts.append(_table((panel.lower() if panel == "Options" else panel, ""), rows))
    return "\n".join(parts)


def _flags(name: str, info: Any) -> list[str]:
    given = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
    return [*given, *(info.param_decls or ())] or [flag_name(name)]


def _first_line(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split("\n\n")[0].split())


def _table(heading: tuple[str, ...], rows: Any) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    (HERE / "command-line.md").write_text(command_line(), encoding="utf-8")
    (HERE / "settings.md").write_text(settings(), encoding="utf-8")
    (HERE / "http-api.md").write_text(http_api(), encoding="utf-8")
