import { useEffect, useState } from "preact/hooks";
import { bindKeys } from "../keys";
import { uploadFiles } from "../scanActions";
import * as state from "../state";
import { texts } from "../strings";
import { ContactSheet } from "./ContactSheet";
import { HelpDialog, TeachDialog } from "./dialogs";
import { ConnectionBanner, Notices } from "./Notices";
import { SettingsPanel } from "./SettingsPanel";
import { Stage } from "./Stage";
import { ToolRail } from "./ToolRail";
import { TopBar } from "./TopBar";

/** Files dropped anywhere on the page are sent to the server. */
function DropArea() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent) =>
      state.info.value?.can_upload !== false && (event.dataTransfer?.types.includes("Files") ?? false);
    const onDragOver = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onDragLeave = (event: DragEvent) => event.relatedTarget === null && setOver(false);
    const onDrop = (event: DragEvent) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      void uploadFiles([...(event.dataTransfer?.files ?? [])]);
    };
    addEventListener("dragover", onDragOver);
    addEventListener("dragleave", onDragLeave);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onDragOver);
      removeEventListener("dragleave", onDragLeave);
      removeEventListener("drop", onDrop);
    };
  }, []);
  return over ? <div class="drop-area">{texts.sheet.dropHere}</div> : null;
}

function Editor() {
  return (
    <div class="editor">
      <TopBar />
      <div class="workbench">
        <ToolRail />
        <Stage />
        <SettingsPanel />
      </div>
    </div>
  );
}

export function App() {
  useEffect(bindKeys, []);
  return (
    <>
      <ConnectionBanner />
      {state.currentId.value ? <Editor /> : <ContactSheet />}
      <Notices />
      <HelpDialog />
      <TeachDialog />
      <DropArea />
    </>
  );
}
