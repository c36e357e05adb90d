/** The canvas above the picture: mask, strokes that the server has not answered yet, the shape under the pointer. */

import type { Box, Edit, Point, ScanDetail } from "../types";
import { type Frame, visibleBox } from "./frame";
import { MaskTiles, type TileView } from "./maskTiles";
import { cssColour, maskState, tints } from "./maskTint";

/** An edit while the server works on it, or while it is being drawn. */
export interface PendingEdit {
  edit: Edit;
}

/** A frame around a region or a rectangle under the pointer. */
export interface Marker {
  box: Box;
  dashed: boolean;
}

const pendingState: Record<string, number> = {
  brush: maskState.hand,
  protect: maskState.protected,
};

export class MaskLayer {
  readonly canvas = document.createElement("canvas");
  shown = true;
  opacity = 0.75;
  /** The mask is drawn left of this share of the window: right of it lies the repaired picture. */
  edge = 1;
  marker: Marker | null = null;
  rubberBand: Marker | null = null;
  private context: CanvasRenderingContext2D;
  private tiles: MaskTiles | null = null;
  private scan: ScanDetail | null = null;
  private frame: Frame | null = null;
  private pending: PendingEdit[] = [];
  private requested = false;
  private revision = 0;

  constructor() {
    this.canvas.className = "mask-layer";
    this.canvas.setAttribute("aria-hidden", "true");
    const context = this.canvas.getContext("2d");
    if (!context) throw new Error("This browser has no 2D canvas.");
    this.context = context;
  }

  /** Show the mask of a scan; of the same scan again, only what has changed is loaded. */
  show(scan: ScanDetail): void {
    const same = this.scan?.id === scan.id;
    const detected = this.scan?.regions === null && scan.regions !== null;
    const changed = this.revision !== scan.revision || detected;
    this.scan = scan;
    if (!same) {
      this.revision = scan.revision;
      this.tiles = new MaskTiles(scan, () => this.requestDraw());
      this.pending = [];
      this.marker = null;
    } else if (changed) void this.refresh([[0, 0, scan.width, scan.height]], scan.revision);
    this.requestDraw();
  }

  async refresh(boxes: Box[], revision: number): Promise<void> {
    this.revision = revision;
    await this.tiles?.refresh(boxes, revision, this.view());
  }

  addPending(edit: Edit): PendingEdit {
    const pending = { edit };
    this.pending.push(pending);
    this.requestDraw();
    return pending;
  }

  dropPending(pending: PendingEdit): void {
    this.pending = this.pending.filter((entry) => entry !== pending);
    this.requestDraw();
  }

  requestDraw(): void {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => {
      if (this.requested && this.frame) this.draw(this.frame);
      this.requested = false;
    });
  }

  draw(frame: Frame): void {
    this.frame = frame;
    this.requested = false;
    this.fitCanvas(frame);
    const { context } = this;
    context.clearRect(0, 0, frame.width, frame.height);
    if (!this.scan) return;
    if (this.shown) {
      context.globalAlpha = this.opacity;
      context.save();
      context.beginPath();
      context.rect(0, 0, frame.width * this.edge, frame.height);
      context.clip();
      this.useScanPixels(frame);
      this.drawTiles();
      context.restore();
    }
    context.save();
    this.useScanPixels(frame);
    context.globalAlpha = this.opacity;
    for (const { edit } of this.shown ? this.pending : []) this.drawEdit(frame, edit);
    context.globalAlpha = 1;
    this.drawMarker(frame, this.marker);
    this.drawMarker(frame, this.rubberBand);
    context.restore();
  }

  /** From here on everything is drawn in pixels of the scan. */
  private useScanPixels({ origin, right, down }: Frame): void {
    this.context.transform(right[0], right[1], down[0], down[1], origin[0], origin[1]);
  }

  private fitCanvas(frame: Frame): void {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(frame.width * ratio);
    const height = Math.round(frame.height * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.imageSmoothingEnabled = false;
  }

  private view(): TileView | null {
    if (!this.frame || !this.scan || !this.tiles) return null;
    const box = visibleBox(this.frame, this.scan.width, this.scan.height);
    return box[2] && box[3] ? this.tiles.view(box, this.frame.scale) : null;
  }

  private drawTiles(): void {
    const view = this.view();
    if (!view || !this.tiles) return;
    for (let y = view.rows[0]; y <= view.rows[1]; y++) {
      for (let x = view.columns[0]; x <= view.columns[1]; x++) {
        const picture = this.tiles.picture(view.level, x, y);
        if (picture) this.drawTile(picture, view.level, x, y);
        else if (!this.tiles.isLoaded(view.level, x, y)) this.drawCoarser(view.level, x, y);
      }
    }
  }

  private drawTile(picture: HTMLCanvasElement, level: number, x: number, y: number): void {
    const span = this.tiles?.span(level) ?? 0;
    const pixel = span / (this.scan?.tile_size ?? 512);
    this.context.drawImage(picture, x * span, y * span, picture.width * pixel, picture.height * pixel);
  }

  /** Until a tile comes, the part of a coarser one that covers it. */
  private drawCoarser(level: number, x: number, y: number): void {
    if (!this.tiles || !this.scan) return;
    for (let up = 1; up <= 4 && level - up >= 0; up++) {
      const picture = this.tiles.cachedPicture(level - up, x >> up, y >> up);
      if (!picture) continue;
      const span = this.tiles.span(level);
      this.context.save();
      this.context.beginPath();
      this.context.rect(x * span, y * span, span, span);
      this.context.clip();
      this.drawTile(picture, level - up, x >> up, y >> up);
      this.context.restore();
      return;
    }
  }

  private drawEdit(frame: Frame, edit: Edit): void {
    const { context } = this;
    context.save();
    if (edit.kind === "stroke" || edit.kind === "unprotect") this.drawStroke(frame, edit);
    else if (edit.kind === "polygon") {
      this.chooseInk(edit.tool);
      this.tracePath(edit.points);
      context.fill();
      this.outlinePolygon(frame, edit.tool);
    } else if (edit.kind === "scratch") {
      this.chooseInk("brush");
      context.lineWidth = Math.max(1.5 / frame.scale, edit.width);
      context.setLineDash([6 / frame.scale, 4 / frame.scale]);
      this.tracePath([edit.from, edit.to]);
      context.stroke();
    }
    context.restore();
  }

  private drawStroke(frame: Frame, edit: Extract<Edit, { radius: number }>): void {
    const { context } = this;
    this.chooseInk(edit.kind === "stroke" ? edit.tool : "erase");
    context.lineWidth = Math.max(1 / frame.scale, edit.radius * 2);
    context.lineCap = "round";
    context.lineJoin = "round";
    this.tracePath(edit.points);
    const [first] = edit.points;
    if (edit.points.length === 1 && first) context.lineTo(first[0] + 0.01, first[1]);
    context.stroke();
  }

  private chooseInk(paintTool: string): void {
    const { context } = this;
    const tint = tints[pendingState[paintTool] ?? 0];
    context.globalCompositeOperation = tint ? "source-over" : "destination-out";
    if (!tint) context.globalAlpha = 1;
    context.fillStyle = context.strokeStyle = tint ? cssColour(tint, 0.6) : "#000";
  }

  /** An eraser's lasso removes only what it covers: without a line, nothing would show it over bare ground. */
  private outlinePolygon(frame: Frame, paintTool: string): void {
    const { context } = this;
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1;
    context.strokeStyle = cssColour(tints[pendingState[paintTool] ?? maskState.off] ?? [255, 255, 255]);
    context.lineWidth = 1.5 / frame.scale;
    context.closePath();
    context.stroke();
  }

  private tracePath(points: Point[]): void {
    this.context.beginPath();
    for (const point of points) this.context.lineTo(...point);
  }

  private drawMarker(frame: Frame, marker: Marker | null): void {
    if (!marker) return;
    const { context } = this;
    const [x, y, width, height] = marker.box;
    const pixel = 1 / frame.scale;
    const margin = marker.dashed ? 0 : 6 * pixel;
    const rectangle = [x - margin, y - margin, width + 2 * margin, height + 2 * margin] as const;
    context.lineWidth = 3 * pixel;
    context.strokeStyle = "rgb(0 0 0 / 0.6)";
    context.strokeRect(...rectangle);
    context.lineWidth = pixel;
    context.strokeStyle = "#fff";
    context.setLineDash(marker.dashed ? [5 * pixel, 4 * pixel] : []);
    context.strokeRect(...rectangle);
  }
}
