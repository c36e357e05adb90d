"""ReDust finds dust, hairs, scratches and cracks in scans, and repairs only those pixels.

>>> import redust
>>> redust.restore("in.tif", "out.tif", level=0.4)  # doctest: +SKIP

Everything is loaded when first used: ``import redust`` itself loads no NumPy, OpenCV, ONNX Runtime or torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from redust.core.errors import RedustError
    from redust.core.report import Report
    from redust.core.scan import Scan
    from redust.core.settings import DetectSettings, RepairSettings, RestoreSettings
    from redust.files import read_mask, read_scan, write_mask, write_scan
    from redust.pipeline.api import detect, repair, restore
    from redust.pipeline.pipeline import Pipeline

_PUBLIC = {
    "DetectSettings": "redust.core.settings",
    "Pipeline": "redust.pipeline.pipeline",
    "RedustError": "redust.core.errors",
    "RepairSettings": "redust.core.settings",
    "Report": "redust.core.report",
    "RestoreSettings": "redust.core.settings",
    "Scan": "redust.core.scan",
    "detect": "redust.pipeline.api",
    "read_mask": "redust.files",
    "read_scan": "redust.files",
    "repair": "redust.pipeline.api",
    "restore": "redust.pipeline.api",
    "write_mask": "redust.files",
    "write_scan": "redust.files",
}

__all__ = [
    "DetectSettings",
    "Pipeline",
    "RedustError",
    "RepairSettings",
    "Report",
    "RestoreSettings",
    "Scan",
    "__version__",
    "detect",
    "read_mask",
    "read_scan",
    "repair",
    "restore",
    "write_mask",
    "write_scan",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'redust' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
