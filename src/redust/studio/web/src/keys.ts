/** Keys: what they do, and which of them the list behind `?` names. */

import { tinykeys } from "tinykeys";
import * as actions from "./actions";
import * as scanActions from "./scanActions";
import * as state from "./state";
import { texts } from "./strings";
import { pointerTools, viewer } from "./viewer/current";
import { resizeBrush } from "./viewer/pointerTools";

type Handler = (event: KeyboardEvent) => void;

const inEditor = () => state.currentId.value !== null;
const dialogOpen = () => document.querySelector("dialog[open]") !== null;

function typesText(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.matches) return false;
  return element.matches("textarea, select, input:not([type=range]):not([type=checkbox]):not([type=radio])");
}

/** Arrows, Enter and Space belong to the control that has the focus; on the picture they are ours. */
const onStage = () => state.stageFocused.value || document.activeElement === document.body;

function guard(handler: Handler, allowed: () => boolean = () => true): Handler {
  return (event) => {
    if (dialogOpen() || typesText(event.target) || !allowed()) return;
    event.preventDefault();
    handler(event);
  };
}

const single = (handler: Handler, allowed: () => boolean = inEditor) =>
  guard(handler, () => state.singleKeys.value === "on" && allowed());
const always = (handler: Handler, allowed: () => boolean = inEditor) => guard(handler, allowed);
const staged = (handler: Handler) => guard(handler, () => inEditor() && onStage());

export function chooseTool(tool: state.Tool): void {
  pointerTools()?.cancel();
  state.tool.value = tool;
}

/** Choose a shape for the brush, or with the same key again the freehand one. */
export function chooseShape(shape: state.BrushShape): void {
  pointerTools()?.cancel();
  state.brushShape.value = state.brushShape.value === shape ? "round" : shape;
  if (!["brush", "erase", "protect"].includes(state.tool.value)) state.tool.value = "brush";
}

export function cycleCompare(): void {
  const modes: state.CompareMode[] = ["before", "split", "after"];
  state.compareMode.value = modes[(modes.indexOf(state.compareMode.value) + 1) % modes.length] ?? "before";
}

function letGo(): void {
  if (state.scratchStart.value) pointerTools()?.cancel();
  else if (state.tool.value !== "pan") chooseTool("pan");
  else actions.navigate(null);
}

const toolKeys: Record<string, state.Tool> = {
  h: "pan",
  b: "brush",
  e: "erase",
  g: "protect",
  u: "unprotect",
  x: "region",
  s: "scratch",
  o: "boost",
};

/** The key of a tool, for its tip. */
export const keyOf = (tool: state.Tool) => Object.entries(toolKeys).find(([, value]) => value === tool)?.[0] ?? "";

const pan = (x: number, y: number) => staged(() => viewer()?.panBy(x, y));
const inSheetOrEditor = () => inEditor() || state.focusedCard.value !== null;

export function bindKeys(): () => void {
  const tools = Object.entries(toolKeys).map(([key, tool]) => [key, single(() => chooseTool(tool))] as const);
  const unbind = tinykeys(window, {
    ...Object.fromEntries(tools),
    l: single(() => chooseShape("lasso")),
    m: single(() => chooseShape("rectangle")),
    c: single(cycleCompare),
    v: single(() => {
      state.overlayShown.value = !state.overlayShown.value;
    }),
    i: single(() => {
      state.panelOpen.value = state.panelOpen.value === "yes" ? "no" : "yes";
    }),
    "0": single(() => viewer()?.fit()),
    "1": single(() => viewer()?.zoomTo(1)),
    "2": single(() => viewer()?.zoomTo(2)),
    "+": single(() => viewer()?.zoomBy(1.5)),
    "Shift++": single(() => viewer()?.zoomBy(1.5)),
    "=": single(() => viewer()?.zoomBy(1.5)),
    "-": single(() => viewer()?.zoomBy(1 / 1.5)),
    n: single(() => void actions.stepRegion(1)),
    p: single(() => void actions.stepRegion(-1)),
    d: single(() => void actions.toggleRegion(state.regionIndex.value)),
    BracketLeft: single(() => resizeBrush(1 / 1.2)),
    BracketRight: single(() => resizeBrush(1.2)),
    k: single(() => void scanActions.decideScan("accepted"), inSheetOrEditor),
    "Shift+x": single(() => void scanActions.decideScan("rejected"), inSheetOrEditor),
    PageDown: staged(() => scanActions.stepScan(1)),
    PageUp: staged(() => scanActions.stepScan(-1)),
    "Shift+?": single(openHelp, () => true),
    "?": single(openHelp, () => true),
    F1: always(openHelp, () => true),
    ArrowLeft: pan(-0.1, 0),
    ArrowRight: pan(0.1, 0),
    ArrowUp: pan(0, -0.1),
    ArrowDown: pan(0, 0.1),
    "Shift+ArrowLeft": pan(-0.02, 0),
    "Shift+ArrowRight": pan(0.02, 0),
    "Shift+ArrowUp": pan(0, -0.02),
    "Shift+ArrowDown": pan(0, 0.02),
    Enter: staged(() => pointerTools()?.useAtCentre(false)),
    "Shift+Enter": staged(() => pointerTools()?.useAtCentre(true)),
    Escape: always(letGo),
    "$mod+z": always(() => void actions.undo()),
    "$mod+Shift+z": always(() => void actions.redo()),
    "$mod+y": always(() => void actions.redo()),
    "$mod+e": always(() => void scanActions.exportCurrent()),
  });
  const unhold = bindHeldKeys();
  return () => {
    unbind();
    unhold();
  };
}

function openHelp(): void {
  state.helpOpen.value = true;
}

/** Keys that act as long as they are held: before (\) and the hand (Space). */
function bindHeldKeys(): () => void {
  const set = (event: KeyboardEvent, down: boolean) => {
    if (!inEditor() || typesText(event.target) || (down && dialogOpen())) return;
    if ((event.code === "Backslash" || event.key === "\\") && (!down || state.singleKeys.value === "on")) {
      state.peeking.value = down;
    }
    if (event.code === "Space" && (!down || onStage())) {
      const tools = pointerTools();
      if (tools) tools.panHeld = down;
      event.preventDefault();
    }
  };
  const press = (event: KeyboardEvent) => set(event, true);
  const release = (event: KeyboardEvent) => set(event, false);
  const stopPeeking = () => {
    state.peeking.value = false;
  };
  addEventListener("keydown", press);
  addEventListener("keyup", release);
  addEventListener("blur", stopPeeking);
  return () => {
    removeEventListener("keydown", press);
    removeEventListener("keyup", release);
    removeEventListener("blur", stopPeeking);
  };
}

const { rows, groups } = texts.help;

/** What the list of keys shows. */
export const keyList: { title: string; rows: [keys: string, meaning: string][] }[] = [
  {
    title: groups.view,
    rows: [
      ["\\", rows.peek],
      ["C", rows.compare],
      ["V", rows.overlay],
      ["0", rows.fit],
      ["1", rows.full],
      ["2", rows.double],
      ["+  −", rows.zoom],
      ["← → ↑ ↓", rows.move],
      ["Space", rows.space],
    ],
  },
  {
    title: groups.regions,
    rows: [
      ["N  P", rows.next],
      ["D", rows.drop],
    ],
  },
  {
    title: groups.tools,
    rows: [
      ["H  B  E  G  U", rows.tools],
      ["X  S  O", rows.special],
      ["L  M", rows.shapes],
      ["[  ]  Alt+drag", rows.size],
      ["Shift", rows.straight],
      ["Enter", rows.useTool],
      ["Ctrl+Z  Ctrl+Shift+Z", rows.undo],
    ],
  },
  {
    title: groups.many,
    rows: [
      ["K  Shift+X", rows.accept],
      ["Page Down  Page Up", rows.scans],
      ["Ctrl+E", rows.export],
    ],
  },
  {
    title: groups.general,
    rows: [
      ["I", rows.panel],
      ["?  F1", rows.help],
      ["Esc", rows.escape],
    ],
  },
];
