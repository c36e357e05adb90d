/** The part of a scan that a window shows: one scale, one offset. */

import type { Box, Point } from "../types";

export interface Frame {
  /** CSS pixels for each pixel of the scan. */
  scale: number;
  /** Window position of the scan's top left corner, CSS pixels. */
  left: number;
  top: number;
  /** Size of the window, CSS pixels. */
  width: number;
  height: number;
}

export function toScan(frame: Frame, [x, y]: Point): Point {
  return [(x - frame.left) / frame.scale, (y - frame.top) / frame.scale];
}

export function toWindow(frame: Frame, [x, y]: Point): Point {
  return [x * frame.scale + frame.left, y * frame.scale + frame.top];
}

/** The visible part of a scan of this size, in whole pixels of the scan. */
export function visibleBox(frame: Frame, width: number, height: number): Box {
  const [left, top] = toScan(frame, [0, 0]);
  const [right, bottom] = toScan(frame, [frame.width, frame.height]);
  const x = Math.max(0, Math.floor(left));
  const y = Math.max(0, Math.floor(top));
  return [
    x,
    y,
    Math.max(0, Math.min(width, Math.ceil(right)) - x),
    Math.max(0, Math.min(height, Math.ceil(bottom)) - y),
  ];
}

export function boxesMeet(one: Box, two: Box): boolean {
  return one[0] < two[0] + two[2] && two[0] < one[0] + one[2] && one[1] < two[1] + two[3] && two[1] < one[1] + one[3];
}

/** The box that two corners span. */
export function boxOf([x0, y0]: Point, [x1, y1]: Point): Box {
  const left = Math.floor(Math.min(x0, x1));
  const top = Math.floor(Math.min(y0, y1));
  return [left, top, Math.max(1, Math.ceil(Math.max(x0, x1)) - left), Math.max(1, Math.ceil(Math.max(y0, y1)) - top)];
}
