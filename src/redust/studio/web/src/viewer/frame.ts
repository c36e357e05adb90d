/** Which part of a scan the window shows, and how it is turned. */

import type { Box, Point } from "../types";

/** A pixel (x, y) of the scan lies at `origin + x * right + y * down` in the window. */
export interface Frame {
  /** Window position of the scan's top left corner, CSS pixels. */
  origin: Point;
  /** CSS pixels, across and down, for one step to the right and for one step down in the scan. */
  right: Point;
  down: Point;
  /** Length of these steps. */
  scale: number;
  /** Size of the window, CSS pixels. */
  width: number;
  height: number;
}

export function toScan({ origin, right, down, scale }: Frame, [x, y]: Point): Point {
  const [across, along] = [x - origin[0], y - origin[1]];
  const squared = scale * scale;
  return [(across * right[0] + along * right[1]) / squared, (across * down[0] + along * down[1]) / squared];
}

/** Whether a quarter turn lies between scan and window. */
export const isUpended = ({ right }: Frame) => Math.abs(right[0]) < Math.abs(right[1]);

/** The part of a scan between two positions of the window, in whole pixels of the scan. */
export function boxBetween(frame: Frame, start: Point, end: Point, width: number, height: number): Box {
  const corners = [toScan(frame, start), toScan(frame, end)];
  const [left, right] = corners.map(([x]) => x).sort((first, second) => first - second);
  const [top, bottom] = corners.map(([, y]) => y).sort((first, second) => first - second);
  const x = Math.max(0, Math.floor(left ?? 0));
  const y = Math.max(0, Math.floor(top ?? 0));
  return [
    x,
    y,
    Math.max(0, Math.min(width, Math.ceil(right ?? 0)) - x),
    Math.max(0, Math.min(height, Math.ceil(bottom ?? 0)) - y),
  ];
}

/** The visible part of a scan of this size, in whole pixels of the scan. */
export function visibleBox(frame: Frame, width: number, height: number): Box {
  return boxBetween(frame, [0, 0], [frame.width, frame.height], width, height);
}

export function boxesMeet(first: Box, second: Box): boolean {
  return (
    first[0] < second[0] + second[2] &&
    second[0] < first[0] + first[2] &&
    first[1] < second[1] + second[3] &&
    second[1] < first[1] + first[3]
  );
}

/** The box that two corners span. */
export function boxOf([x0, y0]: Point, [x1, y1]: Point): Box {
  const left = Math.floor(Math.min(x0, x1));
  const top = Math.floor(Math.min(y0, y1));
  return [left, top, Math.max(1, Math.ceil(Math.max(x0, x1)) - left), Math.max(1, Math.ceil(Math.max(y0, y1)) - top)];
}
