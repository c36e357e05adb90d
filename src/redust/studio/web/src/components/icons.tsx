/** Icons: strokes on a grid of 20, in the colour of the text. */

const paths = {
  grid: "M3 3h5.5v5.5H3zM11.5 3H17v5.5h-5.5zM3 11.5h5.5V17H3zM11.5 11.5H17V17h-5.5z",
  left: "M12.5 4 6.5 10l6 6",
  right: "M7.5 4l6 6-6 6",
  undo: "M7.5 4 3.5 8l4 4M4 8h8a4.5 4.5 0 0 1 0 9H8",
  redo: "M12.5 4l4 4-4 4M16 8H8a4.5 4.5 0 0 0 0 9h4",
  panel: "M3 4h14v12H3zM12.5 4v12",
  keys: "M2.5 5.5h15v9h-15zM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M6.5 11.5h7",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  light:
    "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7M10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1",
  dark: "M16 12.2A6.6 6.6 0 0 1 7.8 4 6.6 6.6 0 1 0 16 12.2z",
  pan: "M10 2.5v15M2.5 10h15M10 2.5 8 4.5M10 2.5l2 2M10 17.5l-2-2M10 17.5l2-2M2.5 10l2-2M2.5 10l2 2M17.5 10l-2-2M17.5 10l-2 2",
  brush: "M16.5 3.5 9 11l-1.5-1.5zM7.3 10.2c-2 .3-2.3 1.8-2.6 3.2-.2 1-.8 1.9-2.2 2.4 2.6 1.2 6.6.6 6.8-3.6z",
  erase: "M8.5 16.5 3.2 11.2l8-8 5.6 5.6-7.7 7.7zM6.8 7.6l5.6 5.6M8.5 16.5H17",
  protect: "M10 2.5 4 4.7v4.6c0 3.8 2.5 6.6 6 8.2 3.5-1.6 6-4.4 6-8.2V4.7z",
  unprotect: "M10 2.5 4 4.7v4.6c0 3.8 2.5 6.6 6 8.2 3.5-1.6 6-4.4 6-8.2V4.7zM7.6 7.6l4.8 4.8M12.4 7.6l-4.8 4.8",
  region: "M4.5 9.5c-.5-3 2.5-5.5 5.5-5s6 1.5 5.5 5-3 6-6 6-4.5-3-5-6zM7.5 10.2l2 2 3.5-4",
  scratch:
    "M3.5 16.5C8 14.5 6.5 9.5 10 9s2.5-4 6.5-5.5M3.5 16.5h.01M16.5 3.5h.01M2.3 16.5a1.2 1.2 0 1 0 2.4 0 1.2 1.2 0 0 0-2.4 0M15.3 3.5a1.2 1.2 0 1 0 2.4 0 1.2 1.2 0 0 0-2.4 0",
  boost: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4M10 6.5v7M6.5 10h7",
  round: "M10 4.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11",
  lasso: "M10 4c4 0 7 1.9 7 4.3s-3 4.3-7 4.3-7-1.9-7-4.3S6 4 10 4zM6 12c-1.5.5-1.5 2.5 0 2.5s1.5 2-.5 3",
  rectangle: "M3.5 5h13v10h-13z",
  plus: "M10 4v12M4 10h12",
  check: "M4 10.5l4 4 8-9",
  cross: "M5 5l10 10M15 5 5 15",
  download: "M10 3v9M6 8.5l4 4 4-4M4 16.5h12",
  eye: "M2.5 10S5.5 5 10 5s7.5 5 7.5 5-3 5-7.5 5-7.5-5-7.5-5zM10 7.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

interface ButtonProps {
  icon: IconName;
  label: string;
  shortcut?: string;
  pressed?: boolean;
  disabled?: boolean;
  onClick: () => void;
}

/** A button that shows an icon; its label is its tip and its name. */
export function IconButton({ icon, label, shortcut, pressed, disabled, onClick }: ButtonProps) {
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={label}
      aria-pressed={pressed}
      aria-keyshortcuts={shortcut}
      title={shortcut ? `${label} (${shortcut})` : label}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
