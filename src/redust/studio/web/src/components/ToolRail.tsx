import { chooseShape, chooseTool, keyOf } from "../keys";
import * as state from "../state";
import { texts } from "../strings";
import { IconButton, type IconName } from "./icons";

const groups: (state.Tool & IconName)[][] = [
  ["pan"],
  ["brush", "erase", "protect", "unprotect"],
  ["region", "scratch", "boost"],
];

const shapeKeys: Partial<Record<state.BrushShape, string>> = { lasso: "L", rectangle: "M" };

function ShapeButtons() {
  if (!["brush", "erase", "protect"].includes(state.tool.value)) return null;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot lie in a toolbar's column
    <div class="rail-group shapes" role="group" aria-label={texts.tools.shapes}>
      {(["round", "lasso", "rectangle"] as const).map((shape) => (
        <IconButton
          key={shape}
          icon={shape}
          label={texts.tools[shape]}
          shortcut={shapeKeys[shape]}
          pressed={state.brushShape.value === shape}
          onClick={() => chooseShape(shape)}
        />
      ))}
    </div>
  );
}

export function ToolRail() {
  return (
    <div class="rail" role="toolbar" aria-label={texts.tools.label} aria-orientation="vertical">
      {groups.map((tools) => (
        <div class="rail-group" key={tools[0]}>
          {tools.map((tool) => (
            <IconButton
              key={tool}
              icon={tool}
              label={texts.tools[tool]}
              shortcut={keyOf(tool).toUpperCase()}
              pressed={state.tool.value === tool}
              onClick={() => chooseTool(tool)}
            />
          ))}
        </div>
      ))}
      <ShapeButtons />
    </div>
  );
}
