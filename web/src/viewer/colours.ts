/** Colours of plants: bright enough on photographs of dark and of light agar, and told apart by colour-blind readers. */

const PALETTE = [
  "#e69f00",
  "#56b4e9",
  "#d55e9a",
  "#2fbf8f",
  "#f0e442",
  "#ff7f50",
  "#a98bff",
  "#9bd14b",
] as const;

export function plantColour(plant: number): string {
  return PALETTE[(plant - 1) % PALETTE.length] as string;
}
