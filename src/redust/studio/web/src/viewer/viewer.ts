/** The picture: OpenSeadragon with the scan, its restored version under a curtain, and the mask above both. */

import OpenSeadragon from "openseadragon";
import { tileUrl } from "../api";
import * as state from "../state";
import type { Box, Point, ScanDetail } from "../types";
import { boxBetween, type Frame, isUpended, visibleBox } from "./frame";
import { LiveRepair } from "./liveRepair";
import { MaskLayer } from "./maskLayer";

const { Point: ViewPoint, Rect } = OpenSeadragon;

/** Degrees by which the view is turned for the orientations of EXIF; mirrored ones are shown as they are stored. */
const turns: Readonly<Record<number, number>> = { 3: 180, 6: 90, 8: 270 };

const gestures = { clickToZoom: false, dblClickToZoom: false, flickEnabled: false };

/** Zoom and centre, to be kept for the next picture. The centre is in shares of width and height. */
interface ViewPosition {
  imageZoom: number;
  centre: Point;
  fitted: boolean;
}

let lastView: ViewPosition | null = null;

export class ScanViewer {
  readonly mask = new MaskLayer();
  readonly osd: OpenSeadragon.Viewer;
  private scan: ScanDetail | null = null;
  private opening: Promise<void> | null = null;
  private base: OpenSeadragon.TiledImage | null = null;
  private restored: OpenSeadragon.TiledImage | null = null;
  private restoredVersion = 0;
  private repair = new LiveRepair(
    () => this.visibleBox(),
    () => this.showRepair(),
  );

  constructor(element: HTMLElement, navigator: HTMLElement) {
    reserveStyleElement();
    this.osd = OpenSeadragon({
      element,
      drawer: "canvas",
      navigatorElement: navigator,
      navigatorDrawer: "canvas",
      showNavigator: true,
      showNavigationControl: false,
      keyboardNavEnabled: false,
      gestureSettingsMouse: gestures,
      gestureSettingsPen: gestures,
      gestureSettingsTouch: { ...gestures, pinchRotate: false },
      animationTime: 0.25,
      springStiffness: 12,
      maxZoomPixelRatio: 16,
      minZoomImageRatio: 0.4,
      visibilityRatio: 0.3,
      zoomPerScroll: 1.25,
      imageLoaderLimit: 6,
      maxImageCacheCount: 400,
      placeholderFillStyle: "rgb(128 128 128 / 0.12)",
      preserveImageSizeOnResize: true,
      navigatorDisplayRegionColor: "#ffb000",
    });
    this.osd.canvas.parentElement?.append(this.mask.canvas);
    this.osd.addHandler("update-viewport", () => this.onDraw());
    this.osd.addHandler("animation-finish", () => this.repair.start());
    this.osd.addHandler("resize", () => {
      if (state.fitted.value) this.fit(true);
    });
  }

  destroy(): void {
    this.keepView();
    this.repair.close();
    this.osd.destroy();
  }

  /** Show a scan, or what has changed of the one that is shown. */
  async show(scan: ScanDetail): Promise<void> {
    const before = this.scan;
    if (before?.id !== scan.id) this.keepView(); // by the size of the scan that is shown so far
    this.scan = scan;
    if (before?.id !== scan.id || !this.opening) {
      this.opening = this.open(scan);
      this.opening.catch(() => {
        this.opening = null;
      });
      return this.opening;
    }
    await this.opening; // opened once: a second time would undo a zoom made meanwhile
    if (this.scan.id !== scan.id) return;
    if (before.orientation !== scan.orientation) {
      this.turn(scan); // known once the scan was read
      if (state.fitted.value) this.fit(true);
    }
    if (displayQuery(before) !== displayQuery(scan)) await this.replaceBase(scan);
    this.repair.update(scan);
    this.mask.show(scan);
  }

  private async open(scan: ScanDetail): Promise<void> {
    this.osd.close();
    this.base = this.restored = null;
    this.repair.open(scan);
    this.base = await this.add(this.source(scan, "scan", displayQuery(scan)), 1);
    if (this.scan?.id !== scan.id) return;
    this.mask.show(scan);
    this.turn(scan);
    this.fit(true);
    this.restoreView(scan);
    this.applyCompare();
  }

  private turn(scan: ScanDetail): void {
    this.osd.viewport.setRotation(turns[scan.orientation ?? 1] ?? 0, true);
  }

  /** The server's pixels for `restored` have changed. */
  refreshRestored(): void {
    this.repair.coverWhole();
    void this.showRepair();
  }

  private async showRepair(): Promise<void> {
    this.restoredVersion += 1;
    await this.replaceRestored();
  }

  /** An edit has changed the mask inside these boxes. Resolves once the mask on screen shows it. */
  async takeEdit(boxes: Box[], revision: number): Promise<void> {
    await this.mask.refresh(boxes, revision);
    this.repair.invalidate();
  }

  /** Show before, after, or both by the curtain, as the state says. */
  applyCompare(): void {
    const mode = state.peeking.value ? "before" : state.compareMode.value;
    this.restored?.setOpacity(mode === "before" ? 0 : 1);
    this.mask.edge = { before: 1, split: state.curtain.value, after: 0 }[mode];
    this.applyCurtain();
    this.osd.forceRedraw();
    this.repair.start();
  }

  private applyCurtain(): void {
    if (!this.restored || !this.scan) return;
    if (state.compareMode.value !== "split" || state.peeking.value) {
      this.restored.setClip(null);
      return;
    }
    const { width, height } = this.scan;
    const frame = this.frame();
    const edge: Point = [state.curtain.value * frame.width, 0];
    const [x, y, w, h] = boxBetween(frame, edge, [frame.width, frame.height], width, height);
    // An empty clip would show all of it.
    this.restored.setClip(new Rect(x, y, Math.max(w, 1e-3), Math.max(h, 1e-3)));
  }

  frame(): Frame {
    const { viewport } = this.osd;
    const size = viewport.getContainerSize();
    const width = this.scan?.width ?? 1;
    const at = (x: number, y: number) => viewport.pixelFromPoint(new ViewPoint(x, y), true);
    const [origin, side, below] = [at(0, 0), at(1, 0), at(0, 1)];
    const right: Point = [(side.x - origin.x) / width, (side.y - origin.y) / width];
    const down: Point = [(below.x - origin.x) / width, (below.y - origin.y) / width];
    const scale = Math.hypot(...right);
    return { origin: [origin.x, origin.y], right, down, scale, width: size.x, height: size.y };
  }

  visibleBox(): Box {
    return this.scan ? visibleBox(this.frame(), this.scan.width, this.scan.height) : [0, 0, 0, 0];
  }

  /** The scan's pixel in the middle of the window, once the movement under way has ended. */
  centre(): Point {
    const { x, y } = this.osd.viewport.getCenter();
    const width = this.scan?.width ?? 1;
    return [x * width, y * width];
  }

  /** Stop a movement under way: the picture must not slide under a stroke. */
  freeze(): void {
    const { viewport } = this.osd;
    viewport.zoomTo(viewport.getZoom(true), undefined, true);
    viewport.panTo(viewport.getCenter(true), true);
  }

  fit(immediately = false): void {
    if (!this.scan) return;
    const { navigator, viewport } = this.osd;
    fitWhole(viewport, this.scan, immediately);
    if (immediately && navigator) fitWhole(navigator.viewport, this.scan, true);
  }

  /** Zoom to so many device pixels for each pixel of the scan: 1 is 100 %. */
  zoomTo(ratio: number): void {
    if (!this.scan) return;
    this.osd.viewport.zoomTo(this.viewportZoom(ratio / (window.devicePixelRatio || 1))).applyConstraints();
  }

  zoomBy(factor: number): void {
    this.osd.viewport.zoomBy(factor).applyConstraints();
  }

  /** Move by shares of the window. */
  panBy(x: number, y: number): void {
    const { viewport } = this.osd;
    const size = viewport.getContainerSize();
    viewport.panBy(viewport.deltaPointsFromPixels(new ViewPoint(x * size.x, y * size.y))).applyConstraints();
  }

  /** Bring a region into the middle, at 100 % or more where it fits. */
  goToBox([left, top, width, height]: Box): void {
    if (!this.scan) return;
    this.mask.marker = { box: [left, top, width, height], dashed: false };
    const frame = this.frame();
    const [across, along] = isUpended(frame) ? [frame.height, frame.width] : [frame.width, frame.height];
    const room = Math.min(across / (width * 2), along / (height * 2));
    const full = 1 / (window.devicePixelRatio || 1);
    const scale = Math.min(room, Math.max(frame.scale, full));
    this.osd.viewport.zoomTo(this.viewportZoom(scale));
    const x = clampCentre(left + width / 2, across / scale, this.scan.width);
    const y = clampCentre(top + height / 2, along / scale, this.scan.height);
    this.osd.viewport.panTo(new ViewPoint(x / this.scan.width, y / this.scan.width));
    this.mask.requestDraw();
  }

  private viewportZoom(scale: number): number {
    return (scale * (this.scan?.width ?? 1)) / this.osd.viewport.getContainerSize().x;
  }

  private onDraw(): void {
    if (!this.scan || !this.base) return;
    const frame = this.frame();
    this.mask.draw(frame);
    state.zoomPercent.value = frame.scale * (window.devicePixelRatio || 1) * 100;
    const [, , width, height] = this.visibleBox();
    state.fitted.value = width === this.scan.width && height === this.scan.height;
    if (state.compareMode.value === "split") this.applyCurtain();
  }

  private source(scan: ScanDetail, layer: string, query: string) {
    return {
      width: scan.width,
      height: scan.height,
      tileSize: scan.tile_size,
      tileOverlap: 0,
      minLevel: Math.min(8, scan.max_level),
      maxLevel: scan.max_level,
      getTileUrl: (level: number, x: number, y: number) => tileUrl(scan.id, layer, level, x, y, query),
    };
  }

  private add(tileSource: object, opacity: number): Promise<OpenSeadragon.TiledImage> {
    return new Promise((resolve, reject) => {
      this.osd.addTiledImage({
        tileSource: tileSource as OpenSeadragon.TileSource,
        width: 1,
        opacity,
        success: (event) => resolve((event as unknown as { item: OpenSeadragon.TiledImage }).item),
        error: (event) => reject(new Error(String((event as unknown as { message: string }).message))),
      });
    });
  }

  /** Lay the new picture over the old one, which goes once the new one is complete: nothing flashes. */
  private async replace(old: OpenSeadragon.TiledImage | null, tileSource: object): Promise<OpenSeadragon.TiledImage> {
    const added = await this.add(tileSource, old?.getOpacity() ?? 1);
    if (old) {
      this.osd.world.setItemIndex(
        added,
        Math.min(this.osd.world.getIndexOfItem(old) + 1, this.osd.world.getItemCount() - 1),
      );
      const drop = () => this.osd.world.getIndexOfItem(old) >= 0 && this.osd.world.removeItem(old);
      if (old.getOpacity() === 0) drop();
      else added.addOnceHandler("fully-loaded-change", drop);
    }
    return added;
  }

  private async replaceBase(scan: ScanDetail): Promise<void> {
    this.base = await this.replace(this.base, this.source(scan, "scan", displayQuery(scan)));
    if (this.restored) await this.replaceRestored();
  }

  private async replaceRestored(): Promise<void> {
    const { scan } = this;
    if (!scan) return;
    const query = `${displayQuery(scan)}&rev=${scan.revision}.${this.restoredVersion}`;
    const added = await this.replace(this.restored, this.source(scan, "restored", query));
    if (this.scan?.id !== scan.id) return;
    this.restored = added;
    this.applyCompare();
  }

  private keepView(): void {
    if (!this.scan || !this.base) return;
    const frame = this.frame();
    const [x, y] = this.centre();
    lastView = {
      imageZoom: frame.scale,
      centre: [x / this.scan.width, y / this.scan.height],
      fitted: state.fitted.value,
    };
  }

  private restoreView(scan: ScanDetail): void {
    if (!lastView || lastView.fitted) return;
    const [x, y] = lastView.centre;
    this.osd.viewport.zoomTo(this.viewportZoom(lastView.imageZoom), undefined, true);
    this.osd.viewport.panTo(new ViewPoint(x, (y * scan.height) / scan.width), true);
    this.osd.viewport.applyConstraints(true);
  }
}

/**
 * OpenSeadragon adds a style element, which the page's content policy forbids, unless there is one already. This one is
 * of no namespace that means anything: its selector matches, and it does nothing.
 */
function reserveStyleElement(): void {
  if (document.querySelector("style[data-openseadragon-mobile-css]")) return;
  const style = document.createElementNS("urn:redust:inert", "style");
  style.setAttribute("data-openseadragon-mobile-css", "true");
  document.head.append(style);
}

/** Show the whole scan, turned or not: OpenSeadragon's own home forgets the turn. */
function fitWhole(viewport: OpenSeadragon.Viewport, { width, height }: ScanDetail, immediately: boolean): void {
  const upended = viewport.getRotation() % 180 !== 0;
  const [across, along] = upended ? [height / width, 1] : [1, height / width];
  viewport.zoomTo(1 / Math.max(across, along * viewport.getAspectRatio()), undefined, immediately);
  viewport.panTo(new ViewPoint(0.5, height / width / 2), immediately);
}

/** A centre as near as the picture's edges allow: no empty ground beside a picture that fills the window. */
function clampCentre(centre: number, shown: number, length: number): number {
  return shown >= length ? length / 2 : Math.min(length - shown / 2, Math.max(shown / 2, centre));
}

function displayQuery(scan: ScanDetail): string {
  const { exposure, gamma, invert } = scan.settings;
  return `exposure=${exposure}&gamma=${gamma}&invert=${invert ? 1 : 0}`;
}
