/** Tiles of the mask: fetched, tinted and held; a tile that an edit made stale stays in sight until the new one comes. */

import { tileUrl } from "../api";
import type { Box, ScanDetail } from "../types";
import { boxesMeet } from "./frame";
import { tintTile } from "./maskTint";

interface MaskTile {
  level: number;
  x: number;
  y: number;
  /** The revision that the picture shows; -1 before the first. */
  revision: number;
  /** The revision that the picture should show. */
  target: number;
  /** Null where nothing is marked. */
  picture: HTMLCanvasElement | null;
  loading: Promise<void> | null;
}

export interface TileView {
  level: number;
  columns: [first: number, last: number];
  rows: [first: number, last: number];
}

const tileLimit = 250;

export class MaskTiles {
  private tiles = new Map<string, MaskTile>();
  private revision: number;

  constructor(
    private scan: ScanDetail,
    private redraw: () => void,
  ) {
    this.revision = scan.revision;
  }

  /** Pixels of the scan that a tile's side covers. */
  span(level: number): number {
    return this.scan.tile_size * 2 ** (this.scan.max_level - level);
  }

  /** The tiles that show this part of the scan, at the level whose pixels are 1 to 2 pixels on screen. */
  view(box: Box, scale: number): TileView {
    const level = Math.min(this.scan.max_level, Math.max(0, this.scan.max_level + Math.floor(Math.log2(scale))));
    const span = this.span(level);
    const last = (start: number, length: number) => Math.floor(Math.max(start, start + length - 1) / span);
    return {
      level,
      columns: [Math.floor(box[0] / span), last(box[0], box[2])],
      rows: [Math.floor(box[1] / span), last(box[1], box[3])],
    };
  }

  /** A tile's picture, or null; asks for what is missing or stale. */
  picture(level: number, x: number, y: number): HTMLCanvasElement | null {
    const tile = this.tile(level, x, y);
    if (tile.revision < tile.target) void this.load(tile);
    return tile.picture;
  }

  isLoaded(level: number, x: number, y: number): boolean {
    return (this.tiles.get(`${level}/${x}_${y}`)?.revision ?? -1) >= 0;
  }

  /** A tile that is in memory already. */
  cachedPicture(level: number, x: number, y: number): HTMLCanvasElement | null {
    return this.tiles.get(`${level}/${x}_${y}`)?.picture ?? null;
  }

  /** What these boxes cover has changed. Resolves once the tiles of this view show it. */
  async refresh(boxes: Box[], revision: number, view: TileView | null): Promise<void> {
    this.revision = Math.max(this.revision, revision);
    for (const tile of this.tiles.values()) {
      if (boxes.some((box) => boxesMeet(box, this.boxOf(tile)))) tile.target = this.revision;
    }
    if (view) await Promise.all(this.viewTiles(view).map((tile) => this.load(tile)));
    this.redraw();
  }

  private boxOf(tile: MaskTile): Box {
    const span = this.span(tile.level);
    return [tile.x * span, tile.y * span, span, span];
  }

  private viewTiles({ level, columns, rows }: TileView): MaskTile[] {
    const tiles: MaskTile[] = [];
    for (let y = rows[0]; y <= rows[1]; y++) {
      for (let x = columns[0]; x <= columns[1]; x++) tiles.push(this.tile(level, x, y));
    }
    return tiles;
  }

  private tile(level: number, x: number, y: number): MaskTile {
    const key = `${level}/${x}_${y}`;
    const tile = this.tiles.get(key) ?? {
      level,
      x,
      y,
      revision: -1,
      target: this.revision,
      picture: null,
      loading: null,
    };
    this.tiles.delete(key); // the most recent come last
    this.tiles.set(key, tile);
    if (this.tiles.size > tileLimit) this.dropOldest();
    return tile;
  }

  private dropOldest(): void {
    for (const [key, tile] of this.tiles) {
      if (this.tiles.size <= tileLimit) return;
      if (!tile.loading) this.tiles.delete(key);
    }
  }

  private load(tile: MaskTile): Promise<void> {
    if (tile.revision >= tile.target) return tile.loading ?? Promise.resolve();
    tile.loading ??= this.loadLatest(tile).finally(() => {
      tile.loading = null;
    });
    return tile.loading;
  }

  /** Load until the tile shows what it should: it may become stale again on the way. */
  private async loadLatest(tile: MaskTile): Promise<void> {
    while (tile.revision < tile.target) {
      const revision = this.revision;
      const picture = await fetchTile(tileUrl(this.scan.id, "mask", tile.level, tile.x, tile.y, `rev=${revision}`));
      if (picture === undefined) return;
      tile.picture = picture;
      tile.revision = revision;
      this.redraw();
    }
  }
}

/** Fetch and tint a tile; null where nothing is marked, undefined where the server has no answer. */
async function fetchTile(url: string): Promise<HTMLCanvasElement | null | undefined> {
  const response = await fetch(url).catch(() => null);
  const content = response?.ok ? await response.blob().catch(() => null) : null; // the server may stop in between
  if (!content) return undefined;
  const bitmap = await createImageBitmap(content, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) return undefined;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  if (!tintTile(image)) return null;
  context.putImageData(image, 0, 0);
  return canvas;
}
