/** The server's events: jobs move, scans change, the connection is lost and comes back. */

import { loadJobs, loadRegionsSoon, loadScans, mergeScan, refreshAfterChanges, refreshCurrent } from "./actions";
import * as api from "./api";
import * as state from "./state";
import { texts } from "./strings";
import type { Job, JobResult, ScanSummary } from "./types";
import { viewer } from "./viewer/current";

export function listenToServer(): void {
  const source = new EventSource("/api/events");
  source.addEventListener("job", (event) => takeJobEvent(JSON.parse((event as MessageEvent<string>).data) as Job));
  source.addEventListener("scan", (event) =>
    takeScanEvent(JSON.parse((event as MessageEvent<string>).data) as ScanSummary),
  );
  // What happened before the server listed this page came with no event.
  source.addEventListener("ready", () => {
    if (state.connected.value) void catchUp();
    else void reconnect();
    state.connected.value = true;
  });
  source.onerror = () => {
    state.connected.value = false;
    // A browser gives up after an answer that is no stream, such as 401: try anew.
    if (source.readyState === EventSource.CLOSED) setTimeout(listenToServer, 3000);
  };
}

/** After the server came back: what happened meanwhile is read again. */
async function reconnect(): Promise<void> {
  state.notify(texts.errors.live);
  await loadScans().catch(() => undefined);
  await catchUp();
}

async function catchUp(): Promise<void> {
  await loadJobs();
  await refreshCurrent();
}

function takeScanEvent(summary: ScanSummary): void {
  mergeScan(summary);
  const detail = state.detail.value;
  if (detail?.id !== summary.id) return;
  if (summary.revision > detail.revision || summary.state !== detail.state) refreshAfterChanges();
  else if (summary.regions !== detail.regions || summary.coverage !== detail.coverage) {
    state.detail.value = { ...detail, coverage: summary.coverage, regions: summary.regions };
    loadRegionsSoon();
  }
}

function takeJobEvent(job: Job): void {
  const before = state.jobs.value.get(job.id);
  state.jobs.value = new Map(state.jobs.value).set(job.id, job);
  if (before?.state !== job.state) announceJob(job);
}

function announceJob(job: Job): void {
  const kind = texts.jobs.kinds[job.kind] ?? job.kind;
  if (job.state === "failed") {
    state.notify(texts.jobs.failed(kind, job.message ?? ""), "error");
    if (job.kind === "teach") state.teachOpen.value = false;
  } else if (job.state === "cancelled") state.notify(texts.jobs.cancelled);
  else if (job.state === "done") finishJob(job);
}

const shownFailures = 3;

function announceExports(result: JobResult | null): void {
  const failed = result?.failed ?? [];
  const exported = result?.exported ?? 0;
  if (!failed[0]) {
    state.notify(texts.jobs.allExported(exported));
    return;
  }
  const names = new Map(state.scans.value.map((scan) => [scan.id, scan.name]));
  const listed = failed.slice(0, shownFailures).map(({ id }) => names.get(id) ?? id);
  state.notify(texts.jobs.someFailed(exported, failed.length, listed, failed[0].error), "error");
}

function finishJob(job: Job): void {
  if (job.kind === "export" && job.scan) {
    const href = job.result?.download ?? api.resultUrl(job.scan);
    const sentences = [texts.jobs.exported(job.result?.path ?? ""), ...(job.result?.warnings ?? [])];
    state.notify(sentences.join(" \u2013 "), "note", { href, label: texts.top.download });
    if (job.scan === state.currentId.value) viewer()?.refreshRestored();
  } else if (job.kind === "export-all") announceExports(job.result);
  else if (job.kind === "training-pairs") state.notify(texts.sheet.pairsDone(job.result?.path ?? ""));
  else if (job.kind === "teach") state.teachChanges.value = job.result?.changes ?? [];
  else if (job.kind === "detect" && job.scan === state.currentId.value) void refreshCurrent();
}
