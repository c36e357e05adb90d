/** What is done to the open scan: each action calls the server, then updates the state. Errors become sentences. */

import * as api from "./api";
import { ApiError } from "./api";
import * as state from "./state";
import { texts } from "./strings";
import type { Edit, EditResult, Point, RegionOrder, ScanDetail, ScanSummary, Settings } from "./types";
import { viewer } from "./viewer/current";

/** Run an action; what the server refuses is shown in its own words. Answers undefined then. */
export async function attempt<Answer>(
  action: () => Promise<Answer>,
  report: (error: ApiError) => void = reportError,
): Promise<Answer | undefined> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    report(error);
    return undefined;
  }
}

function reportError(error: ApiError): void {
  if (error.code === "unreachable") state.connected.value = false;
  state.notify(error.status === 401 ? texts.errors.unauthorised : error.message, "error");
}

export async function loadStudio(): Promise<void> {
  await attempt(async () => {
    state.info.value = await api.readInfo();
    await loadJobs();
    await loadScans();
  });
}

export async function loadJobs(): Promise<void> {
  const answer = await attempt(api.listJobs);
  if (answer) state.jobs.value = new Map(answer.jobs.map((job) => [job.id, job]));
}

/** Read the list of scans page by page; the first page shows at once. */
export async function loadScans(): Promise<void> {
  const scans: ScanSummary[] = [];
  for (let total = 1; scans.length < total; ) {
    const page = await api.listScans(scans.length, scans.length ? 1000 : 200);
    total = page.total;
    scans.push(...page.scans);
    state.scans.value = [...scans];
    if (page.scans.length === 0) break;
  }
  state.scansLoaded.value = true;
}

/** Take what is known of a scan from any answer or event. */
export function mergeScan(summary: ScanSummary): void {
  const list = state.scans.value;
  const index = list.findIndex((scan) => scan.id === summary.id);
  state.scans.value = index < 0 ? [...list, summary] : list.with(index, { ...list[index], ...pickSummary(summary) });
}

function pickSummary(scan: ScanSummary): ScanSummary {
  const {
    id,
    name,
    folder,
    width,
    height,
    bits,
    channels,
    state: scanState,
    coverage,
    regions,
    revision,
    error,
  } = scan;
  return { id, name, folder, width, height, bits, channels, state: scanState, coverage, regions, revision, error };
}

/** The event of its end may come before the page knows of the detection: then it is read again. */
function refreshWhileDetecting(id: string): void {
  setTimeout(() => {
    if (state.detail.value?.id === id && state.detail.value.state === "detecting") void refreshCurrent();
  }, 1500);
}

function takeDetail(detail: ScanDetail): void {
  if (detail.state === "detecting") refreshWhileDetecting(detail.id);
  if (state.currentId.value !== detail.id) return;
  state.detail.value = detail;
  mergeScan(detail);
  void viewer()?.show(detail);
}

export function navigate(id: string | null): void {
  location.hash = id ? `#/scan/${encodeURIComponent(id)}` : "#/";
}

/** Follow the address: `#/scan/ID` opens a scan, all else the contact sheet. */
export function followHash(): void {
  const match = /^#\/scan\/(.+)$/.exec(location.hash);
  const id = match?.[1] ? decodeURIComponent(match[1]) : null;
  if (id === state.currentId.value) return;
  if (id === null) state.focusedCard.value = state.currentId.value;
  state.currentId.value = id;
  state.detail.value = null;
  state.openFailure.value = "";
  state.regions.value = [];
  state.regionIndex.value = -1;
  if (id) void openCurrent(id);
}

async function openCurrent(id: string): Promise<void> {
  const report = (error: ApiError) => {
    if (state.currentId.value === id) state.openFailure.value = error.message;
    if (["unreachable", "unauthorised"].includes(error.code)) reportError(error);
  };
  const detail = await attempt(() => api.openScan(id), report);
  if (!detail) return;
  takeDetail(detail);
  await loadRegions();
}

/** Read the current scan again, when an event says that it changed. */
let refreshes = 0;

export async function refreshCurrent(): Promise<void> {
  const id = state.currentId.value;
  if (!id) return;
  refreshes += 1;
  const turn = refreshes;
  const detail = await attempt(() => api.readScan(id));
  if (turn !== refreshes) return; // a later answer counts
  if (detail && detail.revision >= (state.detail.value?.revision ?? 0)) {
    takeDetail(detail);
    await loadRegions();
  }
}

export async function loadRegions(): Promise<void> {
  const id = state.currentId.value;
  if (!id || !state.detail.value || state.detail.value.regions === null) return;
  const page = await attempt(() => api.listRegions(id, state.regionOrder.value, state.regionLimit.value));
  if (!page || id !== state.currentId.value) return;
  // After a change of the settings the server has no list until the whole scan is decided; its event comes then.
  if (page.total === 0 && state.detail.value?.regions) return;
  const held = state.currentRegion.value?.id;
  state.regions.value = page.regions;
  state.regionTotal.value = page.total;
  state.regionIndex.value = held ? page.regions.findIndex((region) => region.id === held) : -1;
}

let regionTimer = 0;

/** Read the regions once the changes pause. */
export function loadRegionsSoon(): void {
  clearTimeout(regionTimer);
  regionTimer = window.setTimeout(() => void loadRegions(), 250);
}

export function orderRegions(order: RegionOrder): void {
  state.regionOrder.value = order;
  state.regionIndex.value = -1;
  void loadRegions();
}

export function showMoreRegions(): void {
  state.regionLimit.value = Math.min(state.regionLimit.value + 500, 5000);
  void loadRegions();
}

let settingsPending: Partial<Settings> | null = null;
let settingsBusy = false;

/** Change settings of the current scan: shown at once; while one request runs, later changes wait and go as one. */
export async function changeSettings(changes: Partial<Settings>): Promise<void> {
  const detail = state.detail.value;
  if (!detail) return;
  state.detail.value = { ...detail, settings: { ...detail.settings, ...changes } };
  settingsPending = { ...settingsPending, ...changes };
  if (settingsBusy) return;
  settingsBusy = true;
  while (settingsPending) {
    const sent = settingsPending;
    settingsPending = null;
    const answer = await attempt(() => api.changeSettings(detail.id, sent));
    if (answer) takeDetail({ ...answer, settings: { ...answer.settings, ...(settingsPending ?? {}) } });
    else await refreshCurrent();
  }
  settingsBusy = false;
  loadRegionsSoon();
  refreshIfSettled();
}

let editQueue: Promise<unknown> = Promise.resolve();
let editsUnderway = 0;

let refreshDue = false;

/** Read the current scan again, after the answers that are on their way: they would be older. */
export function refreshAfterChanges(): void {
  refreshDue = true;
  refreshIfSettled();
}

function refreshIfSettled(): void {
  if (!refreshDue || settingsBusy || editsUnderway > 0) return;
  refreshDue = false;
  void refreshCurrent();
}

/** Edits reach the server one after the other, in the order they were made. */
function enqueue(id: string, send: () => Promise<EditResult>): Promise<EditResult | undefined> {
  editsUnderway += 1;
  const result = editQueue
    .then(() => attempt(send))
    .then((answer) => {
      editsUnderway -= 1;
      const result = answer && takeEdit(id, answer);
      refreshIfSettled();
      return result;
    });
  editQueue = result;
  return result;
}

function takeEdit(id: string, result: EditResult): EditResult {
  const detail = state.detail.value;
  if (detail?.id === id) {
    const { revision, history } = result;
    state.detail.value = {
      ...detail,
      revision,
      history,
      coverage: result.coverage ?? detail.coverage,
      regions: result.regions ?? detail.regions,
      state: detail.state === "exported" || detail.state === "accepted" ? detail.state : "corrected",
    };
    mergeScan(state.detail.value);
    loadRegionsSoon();
  }
  if (result.message) state.notify(result.message);
  return result;
}

/** Send an edit; the mask layer shows it meanwhile. */
export async function applyEdit(edit: Edit): Promise<void> {
  const id = state.currentId.value;
  if (!id || !state.detail.value) return;
  const shown = viewer();
  const pending = shown?.mask.addPending(edit);
  const result = await enqueue(id, () => api.sendEdit(id, edit));
  if (!result) state.notify(texts.errors.notSaved, "error");
  else await shown?.takeEdit(result.dirty, result.revision);
  if (pending) shown?.mask.dropPending(pending);
}

async function applyHistory(send: (id: string) => Promise<EditResult>, sentence: string): Promise<void> {
  const id = state.currentId.value;
  if (!id) return;
  const result = await enqueue(id, () => send(id));
  if (!result) return;
  state.announce(result.message ?? sentence);
  await viewer()?.takeEdit(result.dirty, result.revision);
}

export async function undo(): Promise<void> {
  await applyHistory(api.undoEdit, texts.undone);
}

export async function redo(): Promise<void> {
  await applyHistory(api.redoEdit, texts.redone);
}

export async function loadMask(file: Blob): Promise<void> {
  await applyHistory((id) => api.loadMask(id, file), "");
}

/** Go to the next (1) or previous (-1) region. */
export async function stepRegion(step: number): Promise<void> {
  if (!state.regions.value.length) await loadRegions();
  const { length } = state.regions.value;
  if (!length) return;
  const index = state.regionIndex.value;
  goToRegion(index < 0 ? (step > 0 ? 0 : length - 1) : (index + step + length) % length);
}

export function goToRegion(index: number): void {
  const region = state.regions.value[index];
  if (!region) return;
  state.regionIndex.value = index;
  viewer()?.goToBox(region.box);
  const label = texts.classes[region.class] ?? region.class;
  const position = texts.regions.position(index + 1, state.regionTotal.value);
  state.announce(`${position}: ${texts.regions.row(label, region.area, region.confidence)}`);
}

/** Drop a region, or bring it back. */
export async function toggleRegion(index: number): Promise<void> {
  const region = state.regions.value[index];
  if (!region) return;
  const [x = 0, y = 0] = region.id.split("_").map(Number);
  const dropped = region.state === "dropped";
  state.regions.value = state.regions.value.with(index, { ...region, state: dropped ? "kept" : "dropped" });
  state.announce(dropped ? texts.regions.broughtBack(index + 1) : texts.regions.dropped(index + 1));
  await applyEdit({ kind: "region", x, y });
}

/** Drop the region under a pixel of the scan, or bring it back. */
export function toggleRegionAt([x, y]: Point): void {
  void applyEdit({ kind: "region", x: Math.floor(x), y: Math.floor(y) });
}
