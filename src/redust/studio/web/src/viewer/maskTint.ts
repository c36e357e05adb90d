/** Colours of the mask. Each state also has a pattern of its own, so that colour is not all that tells them apart. */

export type Rgb = readonly [number, number, number];

/** States of a mask pixel, as the server's tiles hold them. */
export const maskState = { automatic: 1, hand: 2, off: 3, protected: 4 } as const;

export const tints: Readonly<Record<number, Rgb>> = {
  [maskState.automatic]: [255, 45, 85],
  [maskState.hand]: [255, 176, 0],
  [maskState.off]: [205, 215, 225],
  [maskState.protected]: [0, 200, 230],
};

export const cssColour = ([red, green, blue]: Rgb, alpha = 1) => `rgb(${red} ${green} ${blue} / ${alpha})`;

/** Opacity inside a region; its outline has the whole opacity, so that specks of a pixel or two stay in sight. */
const interior = 0.6;

/** Pixels of a period of the stripes, in pixels of the tile: a tile's side is a multiple, so that they go on across. */
const stripePeriod = 8;

function isOutline(states: Uint8ClampedArray, size: { width: number; height: number }, x: number, y: number): boolean {
  const { width, height } = size;
  const state = states[(y * width + x) * 4];
  const differs = (column: number, row: number) =>
    column >= 0 && row >= 0 && column < width && row < height && states[(row * width + column) * 4] !== state;
  return differs(x - 1, y) || differs(x + 1, y) || differs(x, y - 1) || differs(x, y + 1);
}

function opacityOf(state: number, outline: boolean, x: number, y: number): number {
  if (outline) return 1;
  if (state === maskState.off) return (x + y) % stripePeriod < 3 ? 0.7 : 0;
  if (state === maskState.protected) return (x - y + 4096) % stripePeriod < 4 ? 0.8 : 0.35;
  return interior;
}

/** Colour a tile in place: `image` holds the state in its red channel. False where nothing is marked. */
export function tintTile(image: ImageData): boolean {
  const { data, width, height } = image;
  const states = new Uint8ClampedArray(data);
  let marked = false;
  for (let y = 0, index = 0; y < height; y++) {
    for (let x = 0; x < width; x++, index += 4) {
      const state = states[index] ?? 0;
      const tint = tints[state];
      if (!tint) {
        data[index + 3] = 0;
        continue;
      }
      marked = true;
      data[index] = tint[0];
      data[index + 1] = tint[1];
      data[index + 2] = tint[2];
      data[index + 3] = 255 * opacityOf(state, isOutline(states, image, x, y), x, y);
    }
  }
  return marked;
}
