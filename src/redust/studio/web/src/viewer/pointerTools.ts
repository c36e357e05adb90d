/** Pen, mouse and fingers on the picture: what each tool does with a drag, a click, a key. */

import type OpenSeadragon from "openseadragon";
import { applyEdit, toggleRegionAt } from "../actions";
import * as state from "../state";
import type { Edit, PaintTool, Point } from "../types";
import { boxOf, toScan } from "./frame";
import type { PendingEdit } from "./maskLayer";
import type { ScanViewer } from "./viewer";

/** Points of a stroke nearer than this are left out, CSS pixels. */
const stepLength = 1.5;
const brushLimits = [2, 400] as const;
/** The largest radius of a brush and width of a scratch that the server takes, pixels of the scan. */
const largestRadius = 2000;
const widestScratch = 200;

interface Drag {
  start: Point;
  /** Points in pixels of the scan. */
  points: Point[];
  pending: PendingEdit | null;
  resizeFrom: number | null;
}

type PressEvent = OpenSeadragon.CanvasPressEvent & { originalEvent: PointerEvent };

export function resizeBrush(factor: number): void {
  const [smallest, largest] = brushLimits;
  state.brushSize.value = Math.min(largest, Math.max(smallest, Math.round(state.brushSize.value * factor)));
}

export class PointerTools {
  /** Space is held, or the middle button: the hand, whatever the tool. */
  panHeld = false;
  private penUsed = false;
  private drag: Drag | null = null;
  private scratchFrom: Point | null = null;
  private lastDab: Point | null = null;

  constructor(private viewer: ScanViewer) {
    const { osd } = viewer;
    osd.addHandler("canvas-press", (event) => this.press(event as PressEvent));
    osd.addHandler("canvas-drag", (event) => this.move(event));
    osd.addHandler("canvas-drag-end", (event) => {
      // Without this the picture would glide on after a stroke.
      if (this.drag) (event as unknown as { preventDefaultAction: boolean }).preventDefaultAction = true;
    });
    osd.addHandler("canvas-release", () => this.release());
    osd.addHandler("canvas-pinch", () => this.cancel());
  }

  /** Let go of a stroke or a scratch that has begun. */
  cancel(): void {
    if (this.drag?.pending) this.viewer.mask.dropPending(this.drag.pending);
    this.drag = this.scratchFrom = null;
    state.scratchStart.value = false;
    this.viewer.mask.rubberBand = null;
    this.viewer.mask.requestDraw();
  }

  /** Use the tool at the middle of the window: the keyboard's way to draw. */
  useAtCentre(straight: boolean): void {
    const point = this.viewer.centre();
    const tool = state.tool.value;
    if (tool === "region") toggleRegionAt(point);
    else if (tool === "scratch") this.clickScratch(point);
    else if (tool === "boost" || (isPaint(tool) && state.brushShape.value !== "round"))
      this.sendBox(this.centreBox(point));
    else if (tool !== "pan") {
      const points = straight && this.lastDab ? [this.lastDab, point] : [point];
      this.lastDab = point;
      void applyEdit(this.strokeOf(points));
    }
  }

  private centreBox([x, y]: Point): [Point, Point] {
    const half = this.radius();
    return [
      [x - half, y - half],
      [x + half, y + half],
    ];
  }

  private radius(): number {
    return Math.min(state.brushSize.value / 2 / this.viewer.frame().scale, largestRadius);
  }

  private toScan(position: { x: number; y: number }): Point {
    const [x, y] = toScan(this.viewer.frame(), [position.x, position.y]);
    return [Math.round(x * 100) / 100, Math.round(y * 100) / 100];
  }

  private press(event: PressEvent): void {
    if (event.pointerType === "pen") this.penUsed = true;
    // Who draws with a pen moves the picture with the fingers.
    const moves = state.tool.value === "pan" || this.panHeld || (this.penUsed && event.pointerType === "touch");
    if (moves || this.drag) return;
    this.viewer.freeze();
    const point = this.toScan(event.position);
    const resizing = event.originalEvent.altKey;
    this.drag = {
      start: [event.position.x, event.position.y],
      points: [point],
      pending: null,
      resizeFrom: resizing ? state.brushSize.value : null,
    };
    if (resizing || !draws(state.tool.value)) return;
    if (event.originalEvent.shiftKey && this.lastDab && state.brushShape.value === "round") {
      this.drag.points.unshift(this.lastDab);
    }
    this.drag.pending = this.viewer.mask.addPending(this.editOf(this.drag.points));
  }

  private move(event: OpenSeadragon.CanvasDragEvent): void {
    const { drag } = this;
    if (!drag) return;
    event.preventDefaultAction = true;
    if (drag.resizeFrom !== null) {
      const [smallest, largest] = brushLimits;
      const size = drag.resizeFrom + event.position.x - drag.start[0];
      state.brushSize.value = Math.round(Math.min(largest, Math.max(smallest, size)));
      return;
    }
    const tool = state.tool.value;
    if (tool === "boost") this.showBand(drag, this.toScan(event.position));
    else if (drag.pending) {
      this.extend(drag, event);
      drag.pending.edit = this.editOf(drag.points);
      this.viewer.mask.requestDraw();
    }
  }

  /** Add where the pointer went: all of it, as a pen reports more often than the screen is drawn. */
  private extend(drag: Drag, event: OpenSeadragon.CanvasDragEvent): void {
    const original = event.originalEvent as PointerEvent;
    const last = this.toScan(event.position);
    if (original.shiftKey && state.brushShape.value === "round") {
      const [first] = drag.points;
      drag.points = first ? [first, last] : [last];
      return;
    }
    const coalesced = original.getCoalescedEvents?.() ?? [];
    for (const sample of coalesced.slice(0, -1)) {
      this.appendPoint(
        drag,
        this.toScan({
          x: event.position.x + sample.clientX - original.clientX,
          y: event.position.y + sample.clientY - original.clientY,
        }),
      );
    }
    this.appendPoint(drag, last);
  }

  private appendPoint(drag: Drag, point: Point): void {
    const previous = drag.points.at(-1);
    const distance = previous ? Math.hypot(point[0] - previous[0], point[1] - previous[1]) : Number.POSITIVE_INFINITY;
    if (distance * this.viewer.frame().scale >= stepLength) drag.points.push(point);
  }

  private showBand(drag: Drag, point: Point): void {
    const [start] = drag.points;
    if (!start) return;
    drag.points = [start, point];
    this.viewer.mask.rubberBand = { box: boxOf(start, point), dashed: true };
    this.viewer.mask.requestDraw();
  }

  private release(): void {
    const { drag } = this;
    if (!drag) return;
    // The drag-end event comes after this one.
    setTimeout(() => {
      this.drag = null;
    });
    this.viewer.mask.rubberBand = null;
    if (drag.resizeFrom !== null) return;
    const [start, end] = [drag.points[0], drag.points.at(-1)];
    if (!start || !end) return;
    const tool = state.tool.value;
    if (tool === "region") toggleRegionAt(end);
    else if (tool === "scratch") this.clickScratch(end);
    else if (tool === "boost") this.sendBox([start, end]);
    else this.finishPaint(drag, end);
  }

  private finishPaint(drag: Drag, end: Point): void {
    this.lastDab = end;
    if (drag.pending) this.viewer.mask.dropPending(drag.pending);
    const edit = this.editOf(drag.points);
    if (edit.kind === "polygon" && edit.points.length < 3) return;
    void applyEdit(edit);
  }

  private clickScratch(point: Point): void {
    if (!this.scratchFrom) {
      this.scratchFrom = point;
      state.scratchStart.value = true;
      return;
    }
    const from = this.scratchFrom;
    this.scratchFrom = null;
    state.scratchStart.value = false;
    const width = Math.min(widestScratch, Math.max(1, Math.round(this.radius() * 2)));
    void applyEdit({ kind: "scratch", from, to: point, width });
  }

  /** Boost inside a box, or paint it where a rectangle is the brush. */
  private sendBox([start, end]: [Point, Point]): void {
    const box = boxOf(start, end);
    const tool = state.tool.value;
    void applyEdit(isPaint(tool) ? { kind: "polygon", tool, points: cornersOf(start, end) } : { kind: "boost", box });
  }

  private editOf(points: Point[]): Edit {
    const tool = state.tool.value;
    const [start, end] = [points[0], points.at(-1)];
    if (!isPaint(tool) || state.brushShape.value === "round" || !start || !end) return this.strokeOf(points);
    const outline = state.brushShape.value === "rectangle" ? cornersOf(start, end) : points;
    return { kind: "polygon", tool, points: [...outline] };
  }

  private strokeOf(points: Point[]): Edit {
    const tool = state.tool.value;
    const radius = this.radius();
    if (tool === "unprotect") return { kind: "unprotect", points, radius };
    return { kind: "stroke", tool: isPaint(tool) ? tool : "brush", points, radius };
  }
}

const draws = (tool: state.Tool) => isPaint(tool) || tool === "unprotect";

/** Tools that paint with any shape; the removal of protection is freehand only. */
function isPaint(tool: state.Tool): tool is PaintTool {
  return tool === "brush" || tool === "erase" || tool === "protect";
}

function cornersOf([x0, y0]: Point, [x1, y1]: Point): Point[] {
  return [
    [x0, y0],
    [x1, y0],
    [x1, y1],
    [x0, y1],
  ];
}
