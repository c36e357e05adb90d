/** Sentences and running tasks at the edge of the page. */

import * as scanActions from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import type { Job } from "../types";
import { IconButton } from "./icons";

function JobRow({ job }: { job: Job }) {
  const label = texts.jobs.kinds[job.kind] ?? job.kind;
  return (
    <li>
      <span>{label}</span>
      <progress aria-label={label} max={1} value={job.state === "running" ? job.progress : undefined} />
      <IconButton icon="cross" label={`${texts.cancel}: ${label}`} onClick={() => void scanActions.cancelJob(job.id)} />
    </li>
  );
}

/** Tasks with their progress. A single detection is shown by the picture's note already. */
function JobList() {
  const running = state.activeJobs.value.filter((job) => job.kind !== "teach");
  const uploads = [...state.uploads.value];
  if (!running.length && !uploads.length) return null;
  return (
    <section class="jobs" aria-label={texts.jobs.label}>
      <ul>
        {uploads.map(([name, share]) => (
          <li key={name}>
            <span>{name}</span>
            <progress aria-label={`${texts.jobs.kinds.upload} ${name}`} max={1} value={share} />
          </li>
        ))}
        {running.map((job) => (
          <JobRow key={job.id} job={job} />
        ))}
      </ul>
    </section>
  );
}

export function Notices() {
  return (
    <div class="notices">
      <JobList />
      <div class="toasts">
        {state.toasts.value.map((toast) => (
          <div key={toast.key} class={`toast ${toast.kind}`} role={toast.kind === "error" ? "alert" : "status"}>
            <span>{toast.text}</span>
            {toast.link && (
              <a href={toast.link.href} download>
                {toast.link.label}
              </a>
            )}
            <IconButton icon="cross" label={texts.close} onClick={() => state.dismiss(toast.key)} />
          </div>
        ))}
      </div>
      <p class="visually-hidden" aria-live="polite">
        {state.announcement.value}
      </p>
    </div>
  );
}

export function ConnectionBanner() {
  if (state.connected.value) return null;
  return (
    <div class="banner" role="alert">
      {texts.errors.lost}
    </div>
  );
}
