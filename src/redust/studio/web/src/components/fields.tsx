/** Fields of the settings panel: a slider, a number, a switch, a choice. */

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface SliderProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  shown: string;
  ticks?: string[];
  onChange: (value: number) => void;
}

export function Slider({ label, value, min, max, step, shown, ticks, onChange }: SliderProps) {
  const id = useId();
  return (
    <div class="field slider">
      <label for={id}>{label}</label>
      <output for={id}>{shown}</output>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={shown}
        onInput={(event) => onChange(event.currentTarget.valueAsNumber)}
      />
      {ticks && (
        <div class="ticks" aria-hidden="true">
          {ticks.map((tick) => (
            <span key={tick}>{tick}</span>
          ))}
        </div>
      )}
    </div>
  );
}

interface NumberProps {
  label: string;
  value: number | null;
  min: number;
  max?: number;
  unit: string;
  placeholder?: string;
  onChange: (value: number | null) => void;
}

/** A whole number; empty is null, which only fields with a placeholder take. */
export function NumberField({ label, value, min, max, unit, placeholder, onChange }: NumberProps) {
  const id = useId();
  const change = (input: HTMLInputElement) => {
    const number = input.valueAsNumber;
    if (Number.isNaN(number)) onChange(placeholder === undefined ? min : null);
    else onChange(Math.min(max ?? number, Math.max(min, Math.round(number))));
  };
  return (
    <div class="field number">
      <label for={id}>{label}</label>
      <span class="number-input">
        <input
          id={id}
          type="number"
          min={min}
          max={max}
          step={1}
          value={value ?? ""}
          placeholder={placeholder}
          onChange={(event) => change(event.currentTarget)}
        />
        <span class="unit">{unit}</span>
      </span>
    </div>
  );
}

interface CheckProps {
  label: string;
  disabled?: boolean;
  checked: boolean;
  onChange: (checked: boolean) => void;
}

export function CheckField({ label, disabled, checked, onChange }: CheckProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        disabled={disabled}
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>{label}</span>
    </label>
  );
}

interface ChoiceProps<Value extends string> {
  label: string;
  value: Value;
  options: readonly (readonly [value: Value, label: string])[];
  onChange: (value: Value) => void;
}

export function ChoiceField<Value extends string>({ label, value, options, onChange }: ChoiceProps<Value>) {
  const id = useId();
  return (
    <div class="field choice">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => onChange(event.currentTarget.value as Value)}>
        {options.map(([option, text]) => (
          <option key={option} value={option}>
            {text}
          </option>
        ))}
      </select>
    </div>
  );
}

/** A part of the panel that folds. */
export function Section({ title, open, children }: { title: string; open: boolean; children: ComponentChildren }) {
  return (
    <details class="section" open={open}>
      <summary>
        <h2>{title}</h2>
      </summary>
      <div class="section-body">{children}</div>
    </details>
  );
}
