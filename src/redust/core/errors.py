"""The errors of ReDust.

::

    RedustError                      exit code 1
    ├── SettingsError                2   a choice that cannot be carried out
    │   └── UnknownEngine            2   no detector or fill of that name
    ├── ScanError                    3   this file cannot be used
    │   ├── UnreadableScan           3   truncated, lying, or not a picture
    │   ├── UnsupportedScan          3   a picture, but of a kind ReDust refuses
    │   ├── ScanTooLarge             3   more pixels than the limit allows
    │   └── MaskMismatch             3   a mask that does not belong to this scan
    ├── TargetError                  4   the result cannot be written
    │   ├── TargetExists             4   something is there already
    │   └── LossyTarget              4   the target's format cannot hold what the scan carries
    ├── EngineError                  5   a detector or fill failed or broke its contract
    ├── ModelError                   6   weights or their card are missing or damaged
    ├── TrainingError                7   a network cannot be trained or measured so
    ├── ReviewNeeded                 8   scans were left alone: more would be changed than allowed
    └── VerificationError            9   results are missing or not as they were written

Every message says what is wrong and ends with what to do. Wrong shapes and dtypes from a programmer
are plain ``ValueError`` and ``TypeError``.
"""

from __future__ import annotations


class RedustError(Exception):
    """Something ReDust can explain."""

    exit_code = 1


class SettingsError(RedustError):
    """A choice that cannot be carried out."""

    exit_code = 2


class UnknownEngine(SettingsError):
    """No detector or fill of that name."""


class ScanError(RedustError):
    """This file cannot be used; the others can."""

    exit_code = 3


class UnreadableScan(ScanError):
    """Truncated, lying about itself, or no picture at all."""


class UnsupportedScan(ScanError):
    """A picture, but of a kind ReDust refuses rather than mangles."""


class ScanTooLarge(ScanError):
    """More pixels than the limit allows, by its header."""


class MaskMismatch(ScanError):
    """A mask that does not belong to this scan."""


class TargetError(RedustError):
    """The result cannot be written."""

    exit_code = 4


class TargetExists(TargetError):
    """Something is there already, or the target is the input."""


class LossyTarget(TargetError):
    """The target's format cannot hold something the scan carries."""


class EngineError(RedustError):
    """A detector or fill failed or broke its contract."""

    exit_code = 5


class ModelError(RedustError):
    """Weights or their card are missing or damaged."""

    exit_code = 6


class TrainingError(RedustError):
    """A network cannot be trained or measured so: data that does not fit, no memory, a loss that is no number."""

    exit_code = 7


class ReviewNeeded(RedustError):
    """Scans were left alone, since more of them would be changed than allowed."""

    exit_code = 8


class VerificationError(RedustError):
    """Results are missing, or not as they were written."""

    exit_code = 9
