/** The viewer on the page and its tools, if a scan is open. */

import type { PointerTools } from "./pointerTools";
import type { ScanViewer } from "./viewer";

let current: { viewer: ScanViewer; tools: PointerTools } | null = null;

export const viewer = (): ScanViewer | null => current?.viewer ?? null;

export const pointerTools = (): PointerTools | null => current?.tools ?? null;

export function setCurrent(viewer: ScanViewer | null, tools: PointerTools | null): void {
  current = viewer && tools ? { viewer, tools } : null;
}
