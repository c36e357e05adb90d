/** Repairs what is on screen, once the view rests: only while the repaired picture shows, and never twice the same. */

import { attempt } from "../actions";
import { repairBox } from "../api";
import * as state from "../state";
import type { Box, ScanDetail } from "../types";

/** How long the view rests before what it shows is repaired, milliseconds. */
const delay = 250;

export class LiveRepair {
  private scan: ScanDetail | null = null;
  private timer = 0;
  private busy = false;
  /** A restored picture of this scan is on the page. */
  private shown = false;
  /** Counts the masks that there were: a repair is valid for one of them. */
  private version = 0;
  private repaired: { box: Box; version: number } | null = null;

  constructor(
    private visibleBox: () => Box,
    private showRepair: () => Promise<void>,
  ) {}

  open(scan: ScanDetail): void {
    this.scan = scan;
    this.repaired = null;
    this.shown = false;
  }

  close(): void {
    clearTimeout(this.timer);
  }

  /** The scan as it is now: other settings make another mask. */
  update(scan: ScanDetail): void {
    const stale = this.scan && repairKey(this.scan) !== repairKey(scan);
    this.scan = scan;
    if (stale) this.invalidate();
  }

  /** The mask is another: what was repaired before is stale. */
  invalidate(): void {
    this.version += 1;
    this.start();
  }

  /** The whole scan has been restored. */
  coverWhole(): void {
    if (this.scan) this.repaired = { box: [0, 0, this.scan.width, this.scan.height], version: this.version };
  }

  start(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.repairVisible(), delay);
  }

  private async repairVisible(): Promise<void> {
    const { scan } = this;
    if (!scan || state.compareMode.value === "before" || scan.regions === null) return;
    const box = this.visibleBox();
    const area = box[2] * box[3];
    if (area === 0 || this.isRepaired(box)) return;
    state.repairNeedsZoom.value = area > state.repairLimit.value;
    if (!state.repairNeedsZoom.value && !this.busy) await this.requestRepair(scan, box);
    else if (scan.has_restored && !this.shown) await this.show();
  }

  private async requestRepair(scan: ScanDetail, box: Box): Promise<void> {
    const { version } = this;
    this.busy = state.repairing.value = true;
    const answer = await attempt(() => repairBox(scan.id, box));
    this.busy = state.repairing.value = false;
    if (!answer || this.scan?.id !== scan.id) return;
    this.repaired = { box, version };
    await this.show();
    this.start(); // the view or the mask may have changed meanwhile
  }

  private async show(): Promise<void> {
    this.shown = true;
    await this.showRepair();
  }

  private isRepaired([left, top, width, height]: Box): boolean {
    if (this.repaired?.version !== this.version) return false;
    const [x, y, w, h] = this.repaired.box;
    const inside = left >= x && top >= y && left + width <= x + w && top + height <= y + h;
    if (inside) state.repairNeedsZoom.value = false;
    return inside;
  }
}

/** What a repair depends on, beside corrections. */
function repairKey({ settings, regions }: ScanDetail): string {
  return JSON.stringify([{ ...settings, exposure: 0, gamma: 1, invert: false }, regions === null]);
}
