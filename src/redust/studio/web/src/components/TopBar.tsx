import * as actions from "../actions";
import * as scanActions from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import { Icon, IconButton, type IconName } from "./icons";

const themes: state.Theme[] = ["auto", "light", "dark"];

export function ThemeButton() {
  const theme = state.theme.value;
  const advance = () => {
    state.theme.value = themes[(themes.indexOf(theme) + 1) % themes.length] ?? "auto";
  };
  return <IconButton icon={theme} label={texts.top.theme[theme]} onClick={advance} />;
}

export function HelpButton() {
  const open = () => {
    state.helpOpen.value = true;
  };
  return <IconButton icon="keys" label={texts.top.keys} shortcut="?" onClick={open} />;
}

function ScanSteps() {
  const list = state.shownScans.value;
  const index = list.findIndex((scan) => scan.id === state.currentId.value);
  return (
    <div class="scan-steps">
      <IconButton
        icon="left"
        label={texts.top.previous}
        shortcut="PageUp"
        disabled={index <= 0}
        onClick={() => scanActions.stepScan(-1)}
      />
      <span class="position">{index >= 0 ? texts.top.position(index + 1, list.length) : ""}</span>
      <IconButton
        icon="right"
        label={texts.top.next}
        shortcut="PageDown"
        disabled={index < 0 || index >= list.length - 1}
        onClick={() => scanActions.stepScan(1)}
      />
    </div>
  );
}

function CompareSwitch() {
  const modes: state.CompareMode[] = ["before", "split", "after"];
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot lie in a toolbar's line
    <div class="segmented" role="group" aria-label={texts.compare.label} title="C">
      {modes.map((mode) => (
        <button
          type="button"
          key={mode}
          aria-pressed={state.compareMode.value === mode}
          onClick={() => {
            state.compareMode.value = mode;
          }}
        >
          {texts.compare[mode]}
        </button>
      ))}
    </div>
  );
}

interface DecisionProps {
  decision: "accepted" | "rejected";
  icon: IconName;
  shortcut: string;
}

function DecisionButton({ decision, icon, shortcut }: DecisionProps) {
  const { label, tip } = texts.top.decisions[decision];
  return (
    <button
      type="button"
      class="decision"
      title={`${tip} (${shortcut})`}
      aria-keyshortcuts={shortcut}
      aria-pressed={state.detail.value?.state === decision}
      disabled={!state.detail.value}
      onClick={() => void scanActions.decideScan(decision)}
    >
      <Icon name={icon} />
      <span class="button-text">{label}</span>
    </button>
  );
}

function EditorActions() {
  const detail = state.detail.value;
  const exporting = state.activeJobs.value.some((job) => job.kind === "export" && job.scan === detail?.id);
  return (
    <>
      <IconButton
        icon="undo"
        label={texts.top.undo}
        shortcut="Control+Z"
        disabled={!detail?.history.undo}
        onClick={() => void actions.undo()}
      />
      <IconButton
        icon="redo"
        label={texts.top.redo}
        shortcut="Control+Shift+Z"
        disabled={!detail?.history.redo}
        onClick={() => void actions.redo()}
      />
      <span class="divider" />
      <DecisionButton decision="rejected" icon="cross" shortcut="Shift+X" />
      <DecisionButton decision="accepted" icon="check" shortcut="K" />
      <button
        type="button"
        class="primary"
        title={`${texts.jobs.copyBesides(state.info.value?.output ?? "")} (Ctrl+E)`}
        disabled={!detail || exporting}
        onClick={() => void scanActions.exportCurrent()}
      >
        <Icon name="download" />
        <span class="button-text">{texts.top.export}</span>
      </button>
    </>
  );
}

/** The line above an open scan. */
export function TopBar() {
  const detail = state.detail.value;
  const togglePanel = () => {
    state.panelOpen.value = state.panelOpen.value === "yes" ? "no" : "yes";
  };
  return (
    <header class="bar">
      <IconButton icon="grid" label={texts.top.sheet} shortcut="Escape" onClick={() => actions.navigate(null)} />
      <div class="scan-title">
        <h1>{detail?.name ?? ""}</h1>
        {detail && <span class={`state state-${detail.state}`}>{texts.states[detail.state]}</span>}
      </div>
      {state.scans.value.length > 1 && <ScanSteps />}
      <CompareSwitch />
      <div class="bar-end">
        <EditorActions />
        <span class="divider" />
        <IconButton
          icon="panel"
          label={texts.top.panel}
          shortcut="I"
          pressed={state.panelOpen.value === "yes"}
          onClick={togglePanel}
        />
        <HelpButton />
        <ThemeButton />
      </div>
    </header>
  );
}
