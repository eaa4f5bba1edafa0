/** Colours of plants: bright enough on photographs of dark and of light agar, and told apart by colour-blind readers. */
import type { Plant } from "../api/types";

export const OUTLINE = "rgba(10, 16, 14, 0.85)";
export const LABEL_TEXT = "#10201a";
export const PLATE_COLOUR = "#4fc3f7";
export const LANDMARK_COLOURS: Record<Plant["landmarks"][number]["kind"], string> = {
  root_base: "#7ee0ff",
  primary_tip: "#ffffff",
  lateral_tip: "#ffe9a8",
  leaf_tip: "#9bd14b",
};

const PALETTE = [
  "#e69f00",
  "#56b4e9",
  "#e070a8",
  "#2fbf8f",
  "#f0e442",
  "#ff7f50",
  "#a98bff",
  "#9bd14b",
] as const;

/** Colour of plants that are in no track of a series. Their numbers are negative. */
const UNNUMBERED = "#d0d5d3";

export function plantColour(plant: number): string {
  if (plant < 1) return UNNUMBERED;
  return PALETTE[(plant - 1) % PALETTE.length] as string;
}
