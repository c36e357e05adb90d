/** All scans as small pictures with their state, and what can be done to many at once. */

import { useEffect, useRef } from "preact/hooks";
import * as actions from "../actions";
import { thumbnailUrl } from "../api";
import * as scanActions from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import type { ScanState, ScanSummary } from "../types";
import { ChoiceField } from "./fields";
import { Icon } from "./icons";
import { HelpButton, ThemeButton } from "./TopBar";

function toggleSelected(id: string): void {
  const selection = new Set(state.selection.value);
  if (!selection.delete(id)) selection.add(id);
  state.selection.value = selection;
}

/** The cards lie in rows: how many fit in one, from their positions. */
function columnsOf(cards: HTMLElement[]): number {
  const top = cards[0]?.offsetTop;
  const index = cards.findIndex((card) => card.offsetTop !== top);
  return index < 0 ? cards.length : index;
}

function moveFocus(event: KeyboardEvent): void {
  const grid = event.currentTarget as HTMLElement;
  const cards = [...grid.querySelectorAll<HTMLElement>(".card-open")];
  const columns = columnsOf([...grid.querySelectorAll<HTMLElement>(".card")]);
  const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  const index = cards.indexOf(document.activeElement as HTMLElement);
  const step = steps[event.key];
  if (step === undefined || index < 0) return;
  event.preventDefault();
  cards[Math.min(cards.length - 1, Math.max(0, index + step))]?.focus();
}

function Card({ scan, tabbable }: { scan: ScanSummary; tabbable: boolean }) {
  const open = useRef<HTMLButtonElement>(null);
  const focused = state.focusedCard.value === scan.id;
  useEffect(() => {
    if (focused && document.activeElement !== open.current) open.current?.focus();
  }, [focused]);
  const selected = state.selection.value.has(scan.id);
  const coverage = scan.coverage === null ? "" : texts.sheet.coverage(scan.coverage);
  return (
    <li class={`card ${selected ? "selected" : ""}`}>
      <button
        type="button"
        ref={open}
        class="card-open"
        tabIndex={tabbable ? 0 : -1}
        title={scan.error ?? scan.name}
        onFocus={() => {
          state.focusedCard.value = scan.id;
        }}
        onClick={() => actions.navigate(scan.id)}
      >
        <span class="thumb">
          <img src={thumbnailUrl(scan)} alt="" loading="lazy" decoding="async" />
        </span>
        <span class="card-name">{scan.name}</span>
        <span class="card-line">
          <span class={`state state-${scan.state}`}>{texts.states[scan.state]}</span>
          <span>{coverage}</span>
        </span>
      </button>
      <input
        type="checkbox"
        class="card-check"
        checked={selected}
        aria-label={texts.sheet.select(scan.name)}
        tabIndex={tabbable ? 0 : -1}
        onChange={() => toggleSelected(scan.id)}
      />
    </li>
  );
}

function Filter() {
  const counts = new Map<ScanState, number>();
  for (const scan of state.scans.value) counts.set(scan.state, (counts.get(scan.state) ?? 0) + 1);
  const states = Object.entries(texts.states) as [ScanState, string][];
  const options = states.flatMap(([value, label]) =>
    counts.has(value) ? [[value, `${label} (${counts.get(value)})`] as const] : [],
  );
  return (
    <ChoiceField<ScanState | "all">
      label={texts.sheet.filter}
      value={state.stateFilter.value}
      options={[["all", texts.sheet.all], ...options]}
      onChange={(value) => {
        state.stateFilter.value = value;
      }}
    />
  );
}

function AddScans() {
  const input = useRef<HTMLInputElement>(null);
  if (state.info.value?.can_upload === false) return null;
  return (
    <>
      <button type="button" onClick={() => input.current?.click()}>
        <Icon name="plus" />
        {texts.sheet.add}
      </button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        aria-label={texts.sheet.add}
        onChange={(event) => {
          void scanActions.uploadFiles([...(event.currentTarget.files ?? [])]);
          event.currentTarget.value = "";
        }}
      />
    </>
  );
}

function SheetActions() {
  const chosen = [...state.selection.value];
  const source = state.scans.value.find((scan) => scan.id === (state.focusedCard.value ?? chosen[0]));
  const corrected = state.scans.value.some((scan) => ["corrected", "accepted", "exported"].includes(scan.state));
  const accepted = state.scans.value.some((scan) => scan.state === "accepted");
  return (
    <div class="sheet-actions">
      <button
        type="button"
        disabled={!source}
        title={source ? texts.sheet.copyHint(source.name) : undefined}
        onClick={() => source && void scanActions.copySettings(source.id)}
      >
        {texts.sheet.copy}
      </button>
      <button type="button" disabled={!corrected} onClick={() => void scanActions.teach()}>
        {texts.sheet.teach}
      </button>
      <button
        type="button"
        disabled={!accepted && !chosen.length}
        onClick={() => void scanActions.writeTrainingPairs(chosen.length ? chosen : "accepted")}
      >
        {texts.sheet.pairs}
      </button>
      <button type="button" disabled={!accepted} onClick={() => void scanActions.exportScans("accepted")}>
        {texts.sheet.exportAccepted}
      </button>
      <button
        type="button"
        class="primary"
        disabled={!state.scans.value.length}
        onClick={() => void scanActions.exportScans(chosen.length ? chosen : "all")}
      >
        {chosen.length ? texts.sheet.exportSelected : texts.sheet.exportAll}
      </button>
    </div>
  );
}

function EmptySheet() {
  if (!state.scansLoaded.value) return null;
  const none = state.scans.value.length === 0;
  return (
    <div class="empty-sheet">
      <p>
        <strong>{none ? texts.sheet.empty : texts.sheet.emptyFilter}</strong>
      </p>
      {none && <p>{texts.sheet.emptyAdvice}</p>}
    </div>
  );
}

export function ContactSheet() {
  const list = state.shownScans.value;
  const chosen = state.selection.value.size;
  const first = list.some((scan) => scan.id === state.focusedCard.value) ? state.focusedCard.value : list[0]?.id;
  return (
    <>
      <header class="bar">
        <h1>{texts.title}</h1>
        <span class="sheet-count" role="status">
          {chosen ? texts.sheet.selected(chosen) : texts.sheet.count(state.scans.value.length)}
        </span>
        <div class="bar-end">
          <AddScans />
          <HelpButton />
          <ThemeButton />
        </div>
      </header>
      <main class="sheet" aria-label={texts.sheet.label}>
        <div class="sheet-bar">
          <Filter />
          <SheetActions />
        </div>
        {list.length === 0 && <EmptySheet />}
        <ul class="cards" onKeyDown={moveFocus}>
          {list.map((scan) => (
            <Card key={scan.id} scan={scan} tabbable={scan.id === first} />
          ))}
        </ul>
      </main>
    </>
  );
}
