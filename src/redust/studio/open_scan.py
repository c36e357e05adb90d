"""One scan that somebody looks at: its pixels, what is marked on it, and the tiles that show both."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from redust.batch.storage import FileStatus
from redust.core.arrays import DamageMap, Mask, Pixels
from redust.core.logits import LogitBins, QuantisedMap, quantise_logits
from redust.core.scan import Scan
from redust.core.settings import RestoreSettings
from redust.decision.sensitivity_steps import MarkedSteps, candidates_at
from redust.studio.corrections import Corrections, PixelState, States
from redust.studio.database import TILE, TileIndex, TileStates
from redust.studio.decisions import Decision, decide_window
from redust.studio.display import (
    Picture,
    Tone,
    develop,
    encode_jpeg,
    encode_png,
    pool_states,
    shrink_max,
    shrink_mean,
    shrink_side,
)
from redust.studio.map_store import MapKey
from redust.studio.overview_store import Overview
from redust.studio.restored_pixels import RestoredPixels, RestoredTile


@dataclass(frozen=True)
class Verdict:
    """What decides the mask of a scan: settings and the slider's step."""

    settings: RestoreSettings
    step: int


class OpenScan:
    """A scan in memory, as far as somebody needs it.

    Parameters
    ----------
    scan_id
        Its identifier.
    read
        Reads it from its file.
    overview
        In small; so its size is known before it is read.
    corrections
        A person's.
    restored
        Its repaired pixels.
    """

    def __init__(
        self, scan_id: str, read: Callable[[], Scan], overview: Overview, corrections: Corrections,
        restored: RestoredPixels,
    ) -> None:  # fmt: skip
        self.id = scan_id
        self.overview, self.corrections, self.restored = overview, corrections, restored
        self.lock = threading.RLock()
        self.source_status: FileStatus | None = None
        self.marked_steps: MarkedSteps | None = None
        self.damage: DamageMap | QuantisedMap | None = None
        self.map_key: MapKey | None = None
        self._read = read
        self._scan: Scan | None = None
        self._reading = threading.Lock()
        self._verdict: Verdict | None = None
        self._decision: Decision | None = None
        self._pooled_states: States | None = None
        self._marked_more: dict[TileIndex, int] = {}
        self._restored_overview: Pixels | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.overview.pyramid.height, self.overview.pyramid.width

    @property
    def bytes_held(self) -> int:
        """Bytes of the pixels in memory."""
        return 0 if self._scan is None else self._scan.pixels.nbytes

    @cached_property
    def _factor(self) -> int:
        return self.overview.pyramid.overview_factor

    def scan(self) -> Scan:
        """The scan, read where it is not in memory."""
        with self._reading:
            if self._scan is None:
                self._scan = self._read()
            return self._scan

    def keep(self, scan: Scan) -> None:
        """Hold a scan that was read already."""
        self._scan = scan

    def release(self) -> None:
        """Let go of pixels and of what can be computed again."""
        with self.lock:
            self._scan = self._decision = None

    # What is marked.

    @property
    def decision(self) -> Decision | None:
        """The decision about the whole scan; None where it is not made, or not yet for the settings in force."""
        return self._decision

    def set_detection(self, damage: DamageMap | QuantisedMap | None, marked_steps: MarkedSteps | None) -> None:
        """Put what was detected in force."""
        with self.lock:
            self.damage, self.marked_steps = damage, marked_steps
            self._forget_decision()

    def map_bins(self, rows: slice, columns: slice) -> LogitBins | None:
        """The damage map of a window in bins, (h, w) uint8; None before it is detected."""
        damage = self.damage
        if damage is None:
            return None
        if isinstance(damage, QuantisedMap):
            return damage.bins[rows, columns]
        return quantise_logits(np.asarray(damage[rows, columns]))

    def set_verdict(self, verdict: Verdict) -> None:
        """Put other settings in force; the mask follows at once, its counts when the whole scan is decided."""
        with self.lock:
            if verdict != self._verdict:
                self._verdict = verdict
                self._forget_decision()

    def set_decision(self, verdict: Verdict, decision: Decision) -> bool:
        """Put a decision in force; False where other settings are meanwhile."""
        with self.lock:
            if verdict != self._verdict:
                return False
            self._forget_decision()
            self._decision = decision
            return True

    @property
    def verdict(self) -> Verdict | None:
        """What is in force."""
        return self._verdict

    def forget_decision(self) -> None:
        """Let go of the mask of the whole scan: memory for other work; windows are still decided."""
        with self.lock:
            self._decision = None

    def _forget_decision(self) -> None:
        self._decision = self._pooled_states = None
        self._marked_more.clear()

    def automatic(self, rows: slice, columns: slice) -> Mask:
        """What is marked automatically in a window, (h, w) bool."""
        decision, steps, verdict = self._decision, self.marked_steps, self._verdict
        if decision is not None:
            return decision.mask[rows, columns]
        if steps is None or verdict is None:
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.bool_)
        needs_pixels = verdict.settings.polarity.value != "both"
        pixels = self.scan().pixels if needs_pixels else None
        return decide_window(steps, pixels, verdict.settings, verdict.step, rows, columns)

    def states(self, rows: slice, columns: slice) -> States:
        """The state of each pixel of a window, (h, w) uint8; see :class:`PixelState`."""
        return self.corrections.apply(self.automatic(rows, columns), rows, columns)

    def mask(self) -> Mask:
        """What is to be repaired, (H, W) bool: the automatic mask of the whole scan, corrected."""
        decision = self._decision
        mask = np.zeros(self.shape, np.bool_) if decision is None else decision.mask.copy()
        for index in self.corrections.tiles:
            rows, columns = self.corrections.core_of(index)
            mask[rows, columns] = is_marked(self.corrections.apply(mask[rows, columns], rows, columns))
        return mask

    def coverage(self) -> float | None:
        """The share of the scan that is to be repaired; None where the whole scan is not decided."""
        with self.lock:
            decision = self._decision
            if decision is None:
                return None
            for index in self.corrections.tiles.keys() - self._marked_more.keys():
                rows, columns = self.corrections.core_of(index)
                automatic = decision.mask[rows, columns]
                marked = is_marked(self.corrections.apply(automatic, rows, columns))
                self._marked_more[index] = int(np.count_nonzero(marked)) - int(np.count_nonzero(automatic))
            return (decision.count + sum(self._marked_more.values())) / decision.mask.size

    def put_corrections(self, tiles: dict[TileIndex, TileStates]) -> None:
        """Put tiles of corrections in force."""
        with self.lock:
            self.corrections.put(tiles)
            for index in tiles:
                self._marked_more.pop(index, None)
                self._pool_tile(index)

    # What is shown.

    def scan_tile(self, level: int, column: int, row: int, tone: Tone) -> bytes | None:
        """A tile of the scan as JPEG; None where there is no such tile."""
        return self._draw_tile(level, column, row, tone, None)

    def restored_tile(self, level: int, column: int, row: int, tone: Tone) -> bytes | None:
        """A tile of the scan with its repaired pixels as JPEG."""
        return self._draw_tile(level, column, row, tone, self.restored)

    def _draw_tile(
        self, level: int, column: int, row: int, tone: Tone, restored: RestoredPixels | None
    ) -> bytes | None:
        rectangle = self.overview.pyramid.rectangle(level, column, row)
        if rectangle is None:
            return None
        rows, columns, factor = rectangle
        if factor >= self._factor:
            source = self.overview.pixels if restored is None else self._shrunk_restored()
            window = source[shrink_side(rows, self._factor), shrink_side(columns, self._factor)]
            factor //= self._factor
        else:
            window = self.scan().pixels[rows, columns]
            window = window if restored is None else restored.put_onto(window, rows, columns)
        return encode_jpeg(develop(shrink_mean(window, factor), tone, self.overview.profile))

    def put_restored(self, tiles: dict[TileIndex, RestoredTile], *, replace_all: bool = False) -> None:
        """Put repaired tiles in force."""
        with self.lock:
            if replace_all:
                self.restored, self._restored_overview = RestoredPixels(tiles), None
                return
            self.restored.tiles.update(tiles)
            if self._restored_overview is not None:
                for index in tiles:
                    self._shrink_restored_tile(self._restored_overview, index)

    def _shrunk_restored(self) -> Pixels:
        with self.lock:
            if self._restored_overview is None:
                shrunk = self.overview.pixels.copy()
                for index, tile in list(self.restored.tiles.items()):
                    if len(tile.positions):
                        self._shrink_restored_tile(shrunk, index)
                self._restored_overview = shrunk
            return self._restored_overview

    def _shrink_restored_tile(self, shrunk: Pixels, index: TileIndex) -> None:
        rows, columns = self.corrections.core_of(index)
        window = self.restored.put_onto(self.scan().pixels[rows, columns], rows, columns)
        shrunk[shrink_side(rows, self._factor), shrink_side(columns, self._factor)] = shrink_mean(window, self._factor)

    def mask_tile(self, level: int, column: int, row: int) -> bytes | None:
        """A tile of the states of all pixels as PNG, the highest state where several share a pixel."""
        rectangle = self.overview.pyramid.rectangle(level, column, row)
        if rectangle is None:
            return None
        rows, columns, factor = rectangle
        if factor >= self._factor > 1:
            pooled = self._shrunk_states()
            states = pooled[shrink_side(rows, self._factor), shrink_side(columns, self._factor)]
            factor //= self._factor
        else:
            states = self.states(rows, columns)
        return encode_png(shrink_max(states, factor))

    def _shrunk_states(self) -> Picture:
        with self.lock:
            if self._pooled_states is None:
                self._pooled_states = self._pool_automatic()
                for index in self.corrections.tiles:
                    self._pool_tile(index)
            return self._pooled_states

    def _pool_automatic(self) -> States:
        if self._decision is not None:
            return pool_states(self._decision.mask.view(np.uint8), self._factor)
        if self.marked_steps is None or self._verdict is None:
            return np.zeros(self.overview.pixels.shape[:2], np.uint8)
        return candidates_at(self._pooled_steps(self.marked_steps), self._verdict.step).view(np.uint8)

    def _pooled_steps(self, marked_steps: MarkedSteps) -> MarkedSteps:
        if self._pooled_source is not marked_steps:
            self._pooled_source, self._pooled = marked_steps, pool_states(marked_steps, self._factor)
        return self._pooled

    _pooled_source: MarkedSteps | None = None
    _pooled: MarkedSteps

    def _pool_tile(self, index: TileIndex) -> None:
        """Bring the shrunken states of one tile of corrections up to date."""
        if self._pooled_states is None or self._factor == 1:
            return
        rows, columns = self.corrections.core_of(index)
        shrunk = shrink_side(rows, self._factor), shrink_side(columns, self._factor)
        self._pooled_states[shrunk] = shrink_max(self.states(rows, columns), self._factor)


def is_marked(states: States) -> Mask:
    """Which states are to be repaired."""
    return np.asarray((states == PixelState.automatic) | (states == PixelState.by_hand))


def tile_window(rows: slice, columns: slice, shape: tuple[int, int]) -> tuple[slice, slice]:
    """A window widened to whole tiles of corrections, as far as the scan reaches."""
    return (
        slice(rows.start // TILE * TILE, min(-(-rows.stop // TILE) * TILE, shape[0])),
        slice(columns.start // TILE * TILE, min(-(-columns.stop // TILE) * TILE, shape[1])),
    )
