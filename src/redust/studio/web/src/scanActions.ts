/** What is done to scans as a whole: decisions, exports, teaching, uploads. */

import { attempt, loadScans, mergeScan, navigate } from "./actions";
import * as api from "./api";
import * as state from "./state";
import { texts } from "./strings";
import type { Job, ScanSummary } from "./types";

/** Open the next (1) or previous (-1) scan of those shown; the sheet after the last. */
export function stepScan(step: number): void {
  const list = state.shownScans.value;
  const index = list.findIndex((scan) => scan.id === state.currentId.value);
  navigate(list[index + step]?.id ?? null);
}

/**
 * Accept or reject a scan and go on to the next, on the page of a scan or on the contact sheet. Deciding the same again
 * takes it back.
 */
export async function decideScan(decision: "accepted" | "rejected"): Promise<void> {
  const id = state.currentId.value ?? state.focusedCard.value;
  if (!id) return;
  const list = state.shownScans.value;
  const index = list.findIndex((scan) => scan.id === id);
  const next = list[index + 1]?.id ?? null;
  const takenBack = list[index]?.state === decision;
  const summary = await attempt(() => api.setState(id, takenBack ? "detected" : decision));
  if (!summary) return;
  state.announce(texts.decided(summary.name, texts.states[summary.state]));
  mergeScan(summary);
  if (state.detail.value?.id === id) state.detail.value = { ...state.detail.value, state: summary.state };
  if (takenBack) return;
  if (state.currentId.value === id) navigate(next);
  else if (next) state.focusedCard.value = next;
}

/** Take the answer to a request; where an event about the same job was faster, that is the newer. */
function takeJob(job: Job | undefined): void {
  if (job && !state.jobs.value.has(job.id)) state.jobs.value = new Map(state.jobs.value).set(job.id, job);
}

export async function detectAgain(): Promise<void> {
  const id = state.currentId.value;
  if (id) takeJob(await attempt(() => api.startDetection(id)));
}

export async function exportCurrent(): Promise<void> {
  const id = state.currentId.value;
  if (id) takeJob(await attempt(() => api.startExport(id, true)));
}

export async function exportScans(targets: string[] | "all" | "accepted"): Promise<void> {
  takeJob(await attempt(() => api.exportScans(targets)));
}

export async function writeTrainingPairs(targets: string[] | "accepted"): Promise<void> {
  takeJob(await attempt(() => api.writeTrainingPairs(targets)));
}

export async function cancelJob(id: string): Promise<void> {
  takeJob(await attempt(() => api.cancelJob(id)));
}

export async function copySettings(source: string): Promise<void> {
  const chosen = [...state.selection.value].filter((id) => id !== source);
  const answer = await attempt(() => api.copySettings(source, chosen.length ? chosen : "all"));
  if (answer) state.notify(texts.sheet.copied(answer.changed));
  await attempt(loadScans);
}

export async function teach(): Promise<void> {
  state.teachChanges.value = null;
  const job = await attempt(() => api.startTeaching("corrected"));
  if (!job) return;
  takeJob(job);
  state.teachOpen.value = true;
}

export async function undoTeaching(): Promise<void> {
  if (await attempt(api.undoTeaching)) state.notify(texts.teach.undone);
  state.teachOpen.value = false;
  await attempt(loadScans);
}

export async function keepTeaching(name: string): Promise<void> {
  const answer = await attempt(() => api.keepTeaching(name));
  if (!answer) return;
  state.notify(texts.teach.saved(answer.path));
  state.teachOpen.value = false;
}

/** Send dropped or chosen files, one after the other; a single one opens. */
export async function uploadFiles(files: File[]): Promise<void> {
  const summaries: ScanSummary[] = [];
  for (const file of files) {
    const report = (share: number) => {
      state.uploads.value = new Map(state.uploads.value).set(file.name, share);
    };
    report(0);
    const summary = await attempt(() => api.uploadScan(file, report));
    const uploads = new Map(state.uploads.value);
    uploads.delete(file.name);
    state.uploads.value = uploads;
    if (summary) {
      mergeScan(summary);
      summaries.push(summary);
    }
  }
  if (files.length === 1 && summaries[0]) navigate(summaries[0].id);
}
