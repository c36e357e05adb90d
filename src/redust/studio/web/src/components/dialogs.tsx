/** The list of keys, and what teaching would change. */

import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyList } from "../keys";
import * as scanActions from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import type { TeachChange } from "../types";
import { CheckField } from "./fields";
import { IconButton } from "./icons";

interface DialogProps {
  open: Signal<boolean>;
  title: string;
  name: string;
  children: ComponentChildren;
}

function Dialog({ open, title, name, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const shown = open.value;
  useEffect(() => {
    if (shown) dialog.current?.showModal();
    else dialog.current?.close();
  }, [shown]);
  const close = () => {
    open.value = false;
  };
  return (
    <dialog ref={dialog} class={name} aria-labelledby={`${name}-title`} onClose={close}>
      <div class="dialog-head">
        <h2 id={`${name}-title`}>{title}</h2>
        <IconButton icon="cross" label={texts.close} onClick={close} />
      </div>
      {shown && children}
    </dialog>
  );
}

export function HelpDialog() {
  return (
    <Dialog open={state.helpOpen} title={texts.help.title} name="help">
      <div class="key-groups">
        {keyList.map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.rows.map(([keys, meaning]) => (
                <div key={keys}>
                  <dt>
                    {keys.split("  ").map((key) => (
                      <kbd key={key}>{key}</kbd>
                    ))}
                  </dt>
                  <dd>{meaning}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <CheckField
        label={texts.help.switch}
        checked={state.singleKeys.value === "on"}
        onChange={(on) => {
          state.singleKeys.value = on ? "on" : "off";
        }}
      />
    </Dialog>
  );
}

function ChangeTable({ changes }: { changes: TeachChange[] }) {
  const names = new Map(state.scans.value.map((scan) => [scan.id, scan.name]));
  return (
    <table>
      <thead>
        <tr>
          <th scope="col">{texts.teach.scan}</th>
          <th scope="col">{texts.teach.added}</th>
          <th scope="col">{texts.teach.removed}</th>
        </tr>
      </thead>
      <tbody>
        {changes.map((change) => (
          <tr key={change.id}>
            <th scope="row">{names.get(change.id) ?? change.id}</th>
            <td>{change.added ? `+${change.added}` : ""}</td>
            <td>{change.removed ? `−${change.removed}` : ""}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function TeachResult({ changes }: { changes: TeachChange[] }) {
  const [name, setName] = useState("mine");
  const moved = changes.filter((change) => change.added || change.removed);
  return (
    <>
      <p>{moved.length ? texts.teach.intro : texts.teach.nothing}</p>
      {moved.length > 0 && <ChangeTable changes={moved} />}
      <form
        class="teach-keep"
        onSubmit={(event) => {
          event.preventDefault();
          void scanActions.keepTeaching(name);
        }}
      >
        <label>
          {texts.teach.name}
          <input
            type="text"
            value={name}
            required
            pattern="[A-Za-z0-9][A-Za-z0-9_\-]*"
            onInput={(event) => setName(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="primary">
          {texts.teach.keep}
        </button>
        <button type="button" onClick={() => void scanActions.undoTeaching()}>
          {texts.teach.undo}
        </button>
      </form>
    </>
  );
}

export function TeachDialog() {
  const changes = state.teachChanges.value;
  const job = state.activeJobs.value.find((active) => active.kind === "teach");
  return (
    <Dialog open={state.teachOpen} title={texts.teach.title} name="teach">
      {changes ? (
        <TeachResult changes={changes} />
      ) : (
        <div role="status">
          <p>{texts.teach.running}</p>
          <progress aria-label={texts.teach.title} value={job?.progress || undefined} />
        </div>
      )}
    </Dialog>
  );
}
