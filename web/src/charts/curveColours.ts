/**
 * Colours of the curves on a white ground: the hues of the plants on the photograph, dark enough for thin lines. The
 * style sheet has those of the dark theme.
 */

export const LIGHT_CURVES = [
  "#9a6a00",
  "#1f74ad",
  "#b03a78",
  "#0f7d5c",
  "#7a6f00",
  "#c2481d",
  "#6c4fd4",
  "#4d7a12",
] as const;

export function curveIndex(track: number): number {
  return (track - 1) % LIGHT_CURVES.length;
}

export function curveColour(track: number): string {
  return LIGHT_CURVES[curveIndex(track)] as string;
}
