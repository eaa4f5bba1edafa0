/** Numbers, traits and units as text. */
import type { TraitValue } from "../api/types";
import { strings } from "../strings";

const UNITS: Record<string, string> = {
  mm2: "mm²",
  px2: "px²",
  "1/mm": "/mm",
  "1/px": "/px",
  deg: "°",
  "1": "",
};

/** Return a number with about four significant digits, and counts without decimals. */
export function formatNumber(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined) return strings.table.unknown;
  if (unit === "1" && Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 1 : size >= 1 ? 2 : 3);
}

export function formatUnit(unit: string): string {
  return UNITS[unit] ?? unit;
}

export function formatTrait(trait: TraitValue): string {
  const unit = formatUnit(trait.unit);
  const number = formatNumber(trait.value, trait.unit);
  return trait.value === null || unit === "" ? number : `${number}${unit === "°" ? "" : " "}${unit}`;
}

export function formatInterval(trait: TraitValue): string {
  if (trait.interval === null) return strings.table.unknown;
  return trait.interval.map((bound) => formatNumber(bound as number, trait.unit)).join(" – ");
}

/** Return the name of a trait in words: primary_root_length becomes "Primary root length". */
export function traitLabel(trait: string): string {
  const words = trait.replace(/^plate_/, "").replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
