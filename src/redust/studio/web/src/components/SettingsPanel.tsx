/** The panel beside the picture: detection, mask, regions, repair, display. */

import { useRef } from "preact/hooks";
import * as actions from "../actions";
import { maskUrl } from "../api";
import * as scanActions from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import type { Polarity, ScanDetail, Settings } from "../types";
import { cssColour, maskState, tints } from "../viewer/maskTint";
import { CheckField, ChoiceField, NumberField, Section, Slider } from "./fields";
import { Icon } from "./icons";
import { RegionList } from "./RegionList";

const change = (changes: Partial<Settings>) => void actions.changeSettings(changes);
const labelOf = (name: string) => texts.classes[name] ?? name;

function sensitivityText(position: number): string {
  if (position <= 0.02) return texts.panel.shy;
  if (Math.abs(position - 0.5) <= 0.02) return texts.panel.normal;
  if (position >= 0.98) return texts.panel.eager;
  return `${Math.round(position * 100)}`;
}

function Failure({ detail }: { detail: ScanDetail }) {
  return (
    <div class="figures nothing" role="alert">
      <strong>{texts.states.failed}</strong>
      <span>{detail.error}</span>
      <button type="button" onClick={() => void scanActions.detectAgain()}>
        {texts.panel.detectAgain}
      </button>
    </div>
  );
}

function Figures({ detail }: { detail: ScanDetail }) {
  if (detail.state === "failed") return <Failure detail={detail} />;
  const detected = detail.regions !== null && detail.coverage !== null;
  const nothing = detected && detail.regions === 0;
  return (
    <div class="figures" role="status">
      {!detected && <p>{texts.stage.detecting}</p>}
      {detected && !nothing && <p>{texts.panel.coverage(detail.regions ?? 0, detail.coverage ?? 0)}</p>}
      {nothing && (
        <p class="nothing">
          <strong>{texts.panel.nothing}</strong>
          <span>{detail.message ?? texts.panel.nothingAdvice}</span>
        </p>
      )}
    </div>
  );
}

function ClassChoices({ detail }: { detail: ScanDetail }) {
  const { classes } = detail.settings;
  const toggle = (name: string, on: boolean) =>
    change({ classes: on ? [...classes, name] : classes.filter((entry) => entry !== name) });
  return (
    <fieldset class="classes">
      <legend>{texts.panel.classes}</legend>
      {(state.info.value?.classes ?? []).map((name) => (
        <CheckField
          key={name}
          label={`${labelOf(name)}${detail.counts[name] ? ` (${detail.counts[name]})` : ""}`}
          checked={classes.includes(name)}
          disabled={classes.length === 1 && classes.includes(name)}
          onChange={(on) => toggle(name, on)}
        />
      ))}
    </fieldset>
  );
}

function Detection({ detail }: { detail: ScanDetail }) {
  const { settings } = detail;
  const polarities = Object.entries(texts.panel.polarities) as [Polarity, string][];
  return (
    <Section title={texts.panel.decide} open>
      <Figures detail={detail} />
      <Slider
        label={texts.panel.sensitivity}
        value={settings.sensitivity}
        min={0}
        max={1}
        step={0.01}
        shown={sensitivityText(settings.sensitivity)}
        ticks={[texts.panel.shy, texts.panel.normal, texts.panel.eager]}
        onChange={(sensitivity) => change({ sensitivity })}
      />
      <Slider
        label={texts.panel.grow}
        value={settings.grow}
        min={0}
        max={16}
        step={1}
        shown={texts.pixels(settings.grow)}
        onChange={(grow) => change({ grow })}
      />
      <div class="pair">
        <NumberField
          label={texts.panel.minSize}
          value={settings.min_size}
          min={1}
          unit="px"
          placeholder={texts.panel.noLimit}
          onChange={(min_size) => change({ min_size })}
        />
        <NumberField
          label={texts.panel.maxSize}
          value={settings.max_size}
          min={1}
          unit="px"
          placeholder={texts.panel.noLimit}
          onChange={(max_size) => change({ max_size })}
        />
      </div>
      <ChoiceField
        label={texts.panel.polarity}
        value={settings.polarity}
        options={polarities}
        onChange={(polarity) => change({ polarity })}
      />
      <ClassChoices detail={detail} />
    </Section>
  );
}

function Legend() {
  return (
    <ul class="legend">
      {(["automatic", "hand", "off", "protected"] as const).map((name) => (
        <li key={name}>
          <span class={`swatch swatch-${name}`} style={{ "--tint": cssColour(tints[maskState[name]] ?? [0, 0, 0]) }} />
          {texts.panel.legend[name]}
        </li>
      ))}
    </ul>
  );
}

function MaskFiles({ detail }: { detail: ScanDetail }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <div class="button-row">
      <a class="button" href={maskUrl(detail.id)} download={`${detail.name.replace(/\.[^.]*$/, "")}.png`}>
        {texts.panel.saveMask}
      </a>
      <button type="button" onClick={() => input.current?.click()}>
        {texts.panel.loadMask}
      </button>
      <input
        ref={input}
        type="file"
        accept="image/png"
        hidden
        aria-label={texts.panel.loadMask}
        onChange={(event) => {
          const file = event.currentTarget.files?.[0];
          if (file) void actions.loadMask(file);
          event.currentTarget.value = "";
        }}
      />
    </div>
  );
}

function MaskSection({ detail }: { detail: ScanDetail }) {
  return (
    <Section title={texts.panel.correct} open>
      <div class="overlay-row">
        <button
          type="button"
          class="icon-button"
          aria-label={texts.panel.overlay}
          aria-pressed={state.overlayShown.value}
          title={`${texts.panel.overlay} (V)`}
          onClick={() => {
            state.overlayShown.value = !state.overlayShown.value;
          }}
        >
          <Icon name="eye" />
        </button>
        <Slider
          label={texts.panel.opacity}
          value={state.overlayOpacity.value}
          min={0.1}
          max={1}
          step={0.05}
          shown={texts.percent(state.overlayOpacity.value, 0)}
          onChange={(opacity) => {
            state.overlayOpacity.value = opacity;
          }}
        />
      </div>
      <Legend />
      <Slider
        label={texts.tools.size}
        value={state.brushSize.value}
        min={2}
        max={400}
        step={1}
        shown={texts.pixels(state.brushSize.value)}
        onChange={(size) => {
          state.brushSize.value = size;
        }}
      />
      <MaskFiles detail={detail} />
      <button
        type="button"
        class="quiet"
        disabled={!detail.history.undo}
        onClick={() => void actions.applyEdit({ kind: "clear" })}
      >
        {texts.panel.clear}
      </button>
    </Section>
  );
}

function Repair({ settings }: { settings: Settings }) {
  const fills = (state.info.value?.fills ?? [settings.fill]).map((name) => [name, name] as const);
  return (
    <Section title={texts.panel.restore} open={false}>
      <ChoiceField
        label={texts.panel.fill}
        value={settings.fill}
        options={fills}
        onChange={(fill) => change({ fill })}
      />
      <CheckField label={texts.panel.grain} checked={settings.grain} onChange={(grain) => change({ grain })} />
    </Section>
  );
}

function Display({ settings }: { settings: Settings }) {
  return (
    <Section title={texts.panel.display} open={false}>
      <p class="note">{texts.panel.displayNote}</p>
      <Slider
        label={texts.panel.exposure}
        value={settings.exposure}
        min={-4}
        max={4}
        step={0.1}
        shown={texts.panel.exposureValue(settings.exposure)}
        onChange={(exposure) => change({ exposure })}
      />
      <Slider
        label={texts.panel.gamma}
        value={settings.gamma}
        min={0.2}
        max={5}
        step={0.05}
        shown={settings.gamma.toFixed(2)}
        onChange={(gamma) => change({ gamma })}
      />
      <CheckField label={texts.panel.invert} checked={settings.invert} onChange={(invert) => change({ invert })} />
      <button type="button" class="quiet" onClick={() => change({ exposure: 0, gamma: 1, invert: false })}>
        {texts.panel.reset}
      </button>
    </Section>
  );
}

export function SettingsPanel() {
  const detail = state.detail.value;
  if (state.panelOpen.value === "no") return null;
  if (!detail) return <aside class="panel" aria-label={texts.panel.label} />;
  return (
    <aside class="panel" aria-label={texts.panel.label}>
      <Detection detail={detail} />
      <RegionList />
      <MaskSection detail={detail} />
      <Repair settings={detail.settings} />
      <Display settings={detail.settings} />
    </aside>
  );
}
