/** What the page knows, as signals. Only `actions.ts`, `events.ts` and the components' handlers change it. */

import { computed, effect, signal } from "@preact/signals";
import type { Job, Region, RegionOrder, ScanDetail, ScanState, ScanSummary, StudioInfo, TeachChange } from "./types";

export type Tool = "pan" | "brush" | "erase" | "protect" | "unprotect" | "region" | "scratch" | "boost";
export type BrushShape = "round" | "lasso" | "rectangle";
export type CompareMode = "before" | "split" | "after";
export type Theme = "auto" | "light" | "dark";

export interface Toast {
  key: number;
  text: string;
  kind: "note" | "error";
  link?: { href: string; label: string };
}

function stored<Value extends string>(key: string, fallback: Value): Value {
  try {
    return (localStorage.getItem(key) as Value | null) ?? fallback;
  } catch {
    return fallback; // storage is off in this browser
  }
}

function storedSignal<Value extends string>(key: string, fallback: Value) {
  const value = signal<Value>(stored(key, fallback));
  effect(() => {
    const text = value.value;
    try {
      localStorage.setItem(key, text);
    } catch {
      // storage is off in this browser: the choice lasts as long as the page
    }
  });
  return value;
}

export const info = signal<StudioInfo | null>(null);
export const scans = signal<ScanSummary[]>([]);
export const scansLoaded = signal(false);
export const currentId = signal<string | null>(null);
export const detail = signal<ScanDetail | null>(null);
/** Why the current scan does not open. */
export const openFailure = signal("");

export const regions = signal<Region[]>([]);
export const regionTotal = signal(0);
export const regionOrder = signal<RegionOrder>("doubt");
export const regionLimit = signal(200);
export const regionIndex = signal(-1);

export const jobs = signal<ReadonlyMap<string, Job>>(new Map());
export const uploads = signal<ReadonlyMap<string, number>>(new Map());
export const toasts = signal<Toast[]>([]);
/** The latest sentence for screen readers. */
export const announcement = signal("");
export const connected = signal(true);
export const repairing = signal(false);
/** The whole picture is on screen. */
export const fitted = signal(true);
export const zoomPercent = signal(100);
export const repairNeedsZoom = signal(false);

export const tool = signal<Tool>("pan");
export const brushShape = signal<BrushShape>("round");
/** Diameter of the brush on screen, CSS pixels. */
export const brushSize = signal(28);
export const scratchStart = signal(false);
export const stageFocused = signal(false);
/** The picture is worked on by keyboard: the cross in its middle shows. */
export const stageByKeys = signal(false);
export const compareMode = signal<CompareMode>("before");
/** Position of the curtain, 0 left to 1 right. */
export const curtain = signal(0.5);
/** The before key is held. */
export const peeking = signal(false);
export const overlayShown = signal(true);
export const overlayOpacity = signal(0.75);

export const panelOpen = storedSignal<"yes" | "no">("redust-panel", "yes");
export const theme = storedSignal<Theme>("redust-theme", "auto");
export const singleKeys = storedSignal<"on" | "off">("redust-single-keys", "on");
export const helpOpen = signal(false);
export const teachOpen = signal(false);
export const teachChanges = signal<TeachChange[] | null>(null);

export const stateFilter = signal<ScanState | "all">("all");
export const selection = signal<ReadonlySet<string>>(new Set());
export const focusedCard = signal<string | null>(null);

export const shownScans = computed(() =>
  stateFilter.value === "all" ? scans.value : scans.value.filter((scan) => scan.state === stateFilter.value),
);
export const currentRegion = computed<Region | null>(() => regions.value[regionIndex.value] ?? null);
export const activeJobs = computed(() =>
  [...jobs.value.values()].filter((job) => job.state === "queued" || job.state === "running"),
);
/** The largest number of pixels that a live repair takes. */
export const repairLimit = computed(() => info.value?.max_repair_pixels ?? 4_000_000);

let toastCount = 0;

/** Show a sentence for some seconds, and read it out. */
export function notify(text: string, kind: Toast["kind"] = "note", link?: Toast["link"]): void {
  toastCount += 1;
  const toast = { key: toastCount, text, kind, link };
  toasts.value = [...toasts.value.filter((shown) => shown.text !== text), toast].slice(-4);
  setTimeout(() => dismiss(toast.key), kind === "error" || link ? 12_000 : 4_000);
}

export function dismiss(key: number): void {
  toasts.value = toasts.value.filter((toast) => toast.key !== key);
}

/** Read a sentence out without showing it. */
export function announce(text: string): void {
  announcement.value = text;
}
