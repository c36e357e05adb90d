/** The picture and what lies on it: curtain, brush ring, cross, small map. */

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import * as state from "../state";
import { texts } from "../strings";
import { setCurrent, viewer } from "../viewer/current";
import { PointerTools } from "../viewer/pointerTools";
import { ScanViewer } from "../viewer/viewer";

function mountViewer(element: HTMLElement, navigator: HTMLElement): () => void {
  const created = new ScanViewer(element, navigator);
  setCurrent(created, new PointerTools(created));
  const { canvas } = created.osd;
  canvas.setAttribute("role", "application");
  const onFocus = () => {
    state.stageFocused.value = true;
  };
  const onBlur = () => {
    state.stageFocused.value = false;
  };
  canvas.addEventListener("focus", onFocus);
  canvas.addEventListener("blur", onBlur);
  // Tab and the arrows bring the cross in the middle, the pointer takes it away.
  const onKey = ({ key }: KeyboardEvent) => {
    if (key === "Tab" || key === "Enter" || key.startsWith("Arrow")) state.stageByKeys.value = true;
  };
  const onPointer = () => {
    state.stageByKeys.value = false;
  };
  addEventListener("keydown", onKey);
  addEventListener("pointermove", onPointer);
  const stops = [
    effect(() => canvas.setAttribute("aria-label", texts.stage.label(state.detail.value?.name ?? ""))),
    effect(() => {
      void [state.compareMode.value, state.curtain.value, state.peeking.value];
      created.applyCompare();
    }),
    effect(() => {
      created.mask.shown = state.overlayShown.value && !state.peeking.value;
      created.mask.opacity = state.overlayOpacity.value;
      created.mask.requestDraw();
    }),
  ];
  if (state.detail.value) void created.show(state.detail.value);
  return () => {
    for (const stop of stops) stop();
    removeEventListener("keydown", onKey);
    removeEventListener("pointermove", onPointer);
    setCurrent(null, null);
    created.destroy();
  };
}

/** A ring of the brush's size that follows the pointer. */
function BrushRing() {
  const ring = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stage = ring.current?.parentElement;
    const follow = (event: PointerEvent) => {
      const box = stage?.getBoundingClientRect();
      if (!box || !ring.current) return;
      const onPicture = (event.target as HTMLElement).closest(".viewer") !== null && event.pointerType !== "touch";
      ring.current.style.visibility = onPicture ? "visible" : "hidden";
      ring.current.style.translate = `${event.clientX - box.left}px ${event.clientY - box.top}px`;
    };
    addEventListener("pointermove", follow);
    return () => removeEventListener("pointermove", follow);
  }, []);
  const painting = ["brush", "erase", "protect", "unprotect", "scratch"].includes(state.tool.value);
  const round = state.brushShape.value === "round" || ["unprotect", "scratch"].includes(state.tool.value);
  const size = `${state.brushSize.value}px`;
  return (
    <div
      class={`brush-ring ${painting && round ? "" : "unused"} ink-${state.tool.value}`}
      ref={ring}
      style={{ width: size, height: size }}
      aria-hidden="true"
    />
  );
}

const usedByKeys = () => state.stageFocused.value && state.stageByKeys.value && state.tool.value !== "pan";

/** Where Enter uses the tool, while the picture has the focus. */
function CentreCross() {
  if (!usedByKeys()) return null;
  return <div class="centre-cross" aria-hidden="true" />;
}

function Curtain() {
  const handle = useRef<HTMLDivElement>(null);
  if (state.compareMode.value !== "split") return null;
  const move = (event: PointerEvent) => {
    if (!handle.current?.hasPointerCapture(event.pointerId)) return;
    const box = handle.current.parentElement?.getBoundingClientRect();
    if (box) setCurtain((event.clientX - box.left) / box.width);
  };
  const onKey = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    setCurtain(state.curtain.value + step);
  };
  return (
    <div
      class="curtain"
      ref={handle}
      role="slider"
      tabIndex={0}
      aria-label={texts.compare.curtain}
      aria-orientation="horizontal"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(state.curtain.value * 100)}
      style={{ left: `${state.curtain.value * 100}%` }}
      onPointerDown={(event) => handle.current?.setPointerCapture(event.pointerId)}
      onPointerMove={move}
      onKeyDown={onKey}
    >
      <span class="curtain-label before">{texts.compare.before}</span>
      <span class="curtain-label after">{texts.compare.after}</span>
      <span class="curtain-knob" />
    </div>
  );
}

function setCurtain(position: number): void {
  state.curtain.value = Math.min(1, Math.max(0, position));
}

/** What the picture needs to say: opening, detecting, repairing. */
function StageNote() {
  const detail = state.detail.value;
  let note = "";
  if (state.peeking.value) note = texts.compare.before;
  else if (!detail) note = state.openFailure.value || texts.stage.loading;
  else if (state.repairing.value) note = texts.stage.repairing;
  else if (state.compareMode.value !== "before" && state.repairNeedsZoom.value) note = texts.stage.zoomToRepair;
  else if (state.scratchStart.value) note = texts.tools.scratchEnd;
  else if (usedByKeys()) note = texts.tools.atCentre;
  else if (detail.state === "detecting") note = texts.stage.detecting;
  return (
    <p class={`stage-note ${note ? "" : "empty"}`} role="status">
      {note}
    </p>
  );
}

export function Stage() {
  const element = useRef<HTMLDivElement>(null);
  const navigator = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (element.current && navigator.current) return mountViewer(element.current, navigator.current);
  }, []);
  return (
    <main class={`stage tool-${state.tool.value}`}>
      <div class="viewer" ref={element} />
      <CentreCross />
      <Curtain />
      <BrushRing />
      <StageNote />
      <div class={`navigator ${state.fitted.value ? "unused" : ""}`} ref={navigator} title={texts.stage.navigator} />
      <ZoomBar />
    </main>
  );
}

function ZoomBar() {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot float on the picture
    <div class="zoom-bar" role="group" aria-label={texts.stage.zoomLabel}>
      <output aria-label={texts.stage.zoomLabel}>{texts.stage.zoom(state.zoomPercent.value)}</output>
      <button type="button" title="0" onClick={() => viewer()?.fit()}>
        {texts.stage.fit}
      </button>
      <button type="button" title="1" onClick={() => viewer()?.zoomTo(1)}>
        100 %
      </button>
      <button type="button" title="2" onClick={() => viewer()?.zoomTo(2)}>
        200 %
      </button>
    </div>
  );
}
