/** What the server sends and takes: see `/api/openapi.json`. Coordinates are pixels of the scan, x right, y down. */

export type Point = [number, number];
/** Left, top, width, height. */
export type Box = [number, number, number, number];

export type ScanState =
  | "new"
  | "detecting"
  | "detected"
  | "corrected"
  | "accepted"
  | "exported"
  | "failed"
  | "rejected";

export type Polarity = "both" | "bright" | "dark";

export interface Settings {
  /** Slider position: 0 shy, 0.5 the model's normal level, 1 eager. */
  sensitivity: number;
  grow: number;
  min_size: number | null;
  max_size: number | null;
  classes: string[];
  polarity: Polarity;
  fill: string;
  grain: boolean;
  exposure: number;
  gamma: number;
  invert: boolean;
}

export interface StudioInfo {
  fills: string[];
  classes: string[];
  defaults: Settings;
  output: string;
  can_upload: boolean;
  upload_cap: number;
  max_repair_pixels?: number;
}

export interface ScanSummary {
  id: string;
  name: string;
  folder: string;
  /** Null until the scan was opened once. */
  width: number | null;
  height: number | null;
  bits: number | null;
  channels: number | null;
  state: ScanState;
  coverage: number | null;
  regions: number | null;
  revision: number;
  error: string | null;
}

export interface History {
  undo: number;
  redo: number;
}

export interface ScanDetail extends ScanSummary {
  width: number;
  height: number;
  /** As in EXIF, 1 to 8; tiles and coordinates are as the scan is stored. */
  orientation?: number;
  settings: Settings;
  history: History;
  level: number;
  counts: Record<string, number>;
  has_restored: boolean;
  max_level: number;
  tile_size: number;
  message: string | null;
}

export type RegionState = "kept" | "dropped" | "by_hand" | "protected";
export type RegionOrder = "doubt" | "size" | "position";

export interface Region {
  /** "x_y" of one of its pixels. */
  id: string;
  class: string;
  area: number;
  box: Box;
  confidence: number;
  state: RegionState;
}

export interface RegionPage {
  total: number;
  regions: Region[];
  counts: Record<string, number>;
  coverage: number;
}

export type JobState = "queued" | "running" | "done" | "failed" | "cancelled";

export interface TeachChange {
  id: string;
  added: number;
  removed: number;
}

export interface JobResult {
  path?: string;
  download?: string;
  changes?: TeachChange[];
  model?: string;
  warnings?: string[];
  exported?: number;
  failed?: { id: string; error: string }[];
}

export interface Job {
  id: string;
  kind: string;
  scan: string | null;
  state: JobState;
  progress: number;
  step: string;
  message: string | null;
  result: JobResult | null;
}

export type PaintTool = "brush" | "erase" | "protect";

export type Edit =
  | { kind: "stroke"; tool: PaintTool; points: Point[]; radius: number }
  | { kind: "polygon"; tool: PaintTool; points: Point[] }
  | { kind: "unprotect"; points: Point[]; radius: number }
  | { kind: "region"; x: number; y: number }
  | { kind: "scratch"; from: Point; to: Point; width: number }
  | { kind: "boost"; box: Box }
  | { kind: "clear" };

export interface EditResult {
  revision: number;
  dirty: Box[];
  history: History;
  coverage: number | null;
  regions: number | null;
  message: string | null;
}
