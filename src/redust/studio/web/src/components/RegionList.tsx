/** The regions of the scan, largest doubt first. */

import { useEffect, useRef } from "preact/hooks";
import * as actions from "../actions";
import * as state from "../state";
import { texts } from "../strings";
import type { Region, RegionOrder } from "../types";
import { ChoiceField, Section } from "./fields";
import { Icon } from "./icons";

function RegionRow({ region, index, current }: { region: Region; index: number; current: boolean }) {
  const row = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (current) row.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const label = texts.classes[region.class] ?? region.class;
  const dropped = region.state === "dropped";
  return (
    <li ref={row} class={`region ${current ? "current" : ""} ${region.state}`}>
      <button
        type="button"
        class="region-go"
        aria-current={current ? "true" : undefined}
        onClick={() => actions.goToRegion(index)}
      >
        <span class="region-class">{label}</span>
        <span class="region-size">{texts.pixels(region.area)}</span>
        <span class="region-confidence">
          <span class="visually-hidden">{texts.regions.confidence}</span>
          <span class="meter" style={{ "--share": region.confidence }} />
          {texts.percent(region.confidence, 0)}
        </span>
      </button>
      <button
        type="button"
        class="icon-button small"
        aria-label={dropped ? texts.regions.back : texts.regions.drop}
        title={`${dropped ? texts.regions.back : texts.regions.drop} (D)`}
        onClick={() => void actions.toggleRegion(index)}
      >
        <Icon name={dropped ? "undo" : "cross"} />
      </button>
    </li>
  );
}

export function RegionList() {
  const list = state.regions.value;
  const orders = Object.entries(texts.regions.orders) as [RegionOrder, string][];
  const hidden = state.regionTotal.value - list.length;
  return (
    <Section title={texts.regions.label} open>
      <ChoiceField
        label={texts.regions.order}
        value={state.regionOrder.value}
        options={orders}
        onChange={actions.orderRegions}
      />
      {list.length === 0 && <p class="note">{texts.regions.none}</p>}
      <ul class="regions">
        {list.map((region, index) => (
          <RegionRow key={region.id} region={region} index={index} current={index === state.regionIndex.value} />
        ))}
      </ul>
      {hidden > 0 && state.regionLimit.value < 5000 && (
        <button type="button" class="quiet" onClick={actions.showMoreRegions}>
          {texts.regions.showMore(hidden)}
        </button>
      )}
    </Section>
  );
}
