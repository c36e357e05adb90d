import { effect } from "@preact/signals";
import { render } from "preact";
import { followHash, loadStudio } from "./actions";
import { App } from "./components/App";
import { listenToServer } from "./events";
import * as state from "./state";
import { texts } from "./strings";
import "./style.css";

effect(() => {
  const theme = state.theme.value;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
});
effect(() => {
  const name = state.detail.value?.name;
  document.title = name ? `${name} – ${texts.title}` : texts.title;
});

async function start(): Promise<void> {
  listenToServer(); // first: what fails while the sheet is drawn is told by events
  await loadStudio();
  addEventListener("hashchange", followHash);
  const [single] = state.scans.value;
  // One file on the command line: straight to the picture.
  if (!location.hash && state.scans.value.length === 1 && single) history.replaceState(null, "", `#/scan/${single.id}`);
  followHash();
}

const root = document.getElementById("app");
if (root) render(<App />, root);
void start();
