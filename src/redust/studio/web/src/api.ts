/** The HTTP API, one function for each endpoint the page uses. */

import { texts } from "./strings";
import type {
  Box,
  Edit,
  EditResult,
  Job,
  RegionOrder,
  RegionPage,
  ScanDetail,
  ScanState,
  ScanSummary,
  Settings,
  StudioInfo,
} from "./types";

/** What the server refused, in its own words; `code` "unreachable" where no answer came. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
  ) {
    super(message);
  }
}

interface ErrorBody {
  error?: string;
  code?: string;
}

function describeError(status: number, body: ErrorBody | null, subject = ""): ApiError {
  return new ApiError(subject + (body?.error ?? texts.errors.unknown(status)), body?.code ?? "unknown", status);
}

function reportUnreachable(): never {
  throw new ApiError(texts.errors.unreachable, "unreachable", 0);
}

async function request<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const options: RequestInit = { method, headers: { "X-Redust": "1" } };
  if (body instanceof Blob) {
    options.body = body;
  } else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "X-Redust": "1", "Content-Type": "application/json" };
  }
  const response = await fetch(`/api${path}`, options).catch(reportUnreachable);
  if (!response.ok) throw describeError(response.status, (await response.json().catch(() => null)) as ErrorBody | null);
  return (await response.json().catch(reportUnreachable)) as Answer;
}

const scanPath = (id: string) => `/scans/${encodeURIComponent(id)}`;

export const readInfo = () => request<StudioInfo>("GET", "/settings");

export const listScans = (offset: number, limit = 200) =>
  request<{ total: number; scans: ScanSummary[] }>("GET", `/scans?offset=${offset}&limit=${limit}`);

export const openScan = (id: string) => request<ScanDetail>("GET", `${scanPath(id)}?open=1`);

export const readScan = (id: string) => request<ScanDetail>("GET", scanPath(id));

export const listRegions = (id: string, order: RegionOrder, limit: number) =>
  request<RegionPage>("GET", `${scanPath(id)}/regions?sort=${order}&limit=${limit}`);

export const changeSettings = (id: string, settings: Partial<Settings>) =>
  request<ScanDetail>("PATCH", `${scanPath(id)}/settings`, settings);

export const sendEdit = (id: string, edit: Edit) => request<EditResult>("POST", `${scanPath(id)}/edits`, edit);

export const undoEdit = (id: string) => request<EditResult>("POST", `${scanPath(id)}/undo`);

export const redoEdit = (id: string) => request<EditResult>("POST", `${scanPath(id)}/redo`);

export const loadMask = (id: string, mask: Blob) => request<EditResult>("PUT", `${scanPath(id)}/mask`, mask);

export const repairBox = (id: string, box: Box) =>
  request<{ revision: number }>("POST", `${scanPath(id)}/repair`, { box });

export const startDetection = (id: string) => request<Job>("POST", `${scanPath(id)}/detect`);

export const startExport = (id: string, download: boolean) =>
  request<Job>("POST", `${scanPath(id)}/export`, { download });

export const setState = (id: string, state: ScanState) =>
  request<ScanSummary>("POST", `${scanPath(id)}/state`, { state });

export const copySettings = (source: string, targets: string[] | "all") =>
  request<{ changed: number }>("POST", "/settings/copy", { from: source, to: targets });

export const exportScans = (scans: string[] | "all" | "accepted") => request<Job>("POST", "/exports", { scans });

export const writeTrainingPairs = (scans: string[] | "accepted") => request<Job>("POST", "/training-pairs", { scans });

export const startTeaching = (scans: string[] | "corrected") => request<Job>("POST", "/teach", { scans });

export const undoTeaching = () => request<{ changed: number }>("POST", "/teach/undo");

export const keepTeaching = (name: string) => request<{ path: string }>("POST", "/teach/keep", { name });

export const listJobs = () => request<{ jobs: Job[] }>("GET", "/jobs");

export const cancelJob = (id: string) => request<Job>("DELETE", `/jobs/${encodeURIComponent(id)}`);

export const thumbnailUrl = (scan: ScanSummary) => `/api${scanPath(scan.id)}/thumbnail?rev=${scan.revision}`;

export const maskUrl = (id: string) => `/api${scanPath(id)}/mask`;

export const resultUrl = (id: string) => `/api${scanPath(id)}/result`;

export const tileUrl = (id: string, layer: string, level: number, x: number, y: number, query: string) =>
  `/api${scanPath(id)}/dzi/${layer}/${level}/${x}_${y}?${query}`;

/** Send a file as it is; `report` gets the share that has left, 0 to 1. */
export function uploadScan(file: File, report: (share: number) => void): Promise<ScanSummary> {
  return new Promise((resolve, reject) => {
    const upload = new XMLHttpRequest();
    upload.open("POST", "/api/scans");
    upload.setRequestHeader("X-Redust", "1");
    upload.setRequestHeader("X-Filename", encodeURIComponent(file.name));
    upload.responseType = "json";
    upload.upload.onprogress = (event) => report(event.loaded / Math.max(event.total, 1));
    upload.onerror = () => reject(new ApiError(texts.errors.unreachable, "unreachable", 0));
    upload.onload = () => {
      if (upload.status === 201) resolve(upload.response as ScanSummary);
      else reject(describeError(upload.status, upload.response as ErrorBody | null, `${file.name}: `));
    };
    upload.send(file);
  });
}
