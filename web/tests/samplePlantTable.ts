/** Wide tables as the server writes them, with two factors, of which one has the name of a column of thale. */

type Trait = [value: number, quality: string] | null;
export type SampleRow = [
  image: string,
  plate: string,
  plant: number | null,
  factors: [string, string],
  mm: Trait,
  px: Trait,
];

const COLUMNS = [
  ...["image", "sha256", "plate", "plant", "flags", "scale_source", "mm_per_px", "plate_width_mm", "models"],
  ...["package_version", "plate_name", "measurement_id", "corrections", "genotype", "plant"],
];
const TRAITS = [
  ...["primary_root_length_mm", "primary_root_length_px", "lateral_root_count", "lateral_density_per_mm"],
];
const MODELS = "plate-seg@1.0.0;plate-landmarks@1.0.0";

export function samplePlantTable(rows: readonly SampleRow[]): string {
  const suffixes = ["", "_low", "_high", "_quality"];
  const header = [...COLUMNS, ...TRAITS.flatMap((trait) => suffixes.map((suffix) => trait + suffix))];
  const lines = rows.map(([image, plate, plant, factors, mm, px]) => [
    ...[image, "ab", "", plant === null ? "" : String(plant), "", "given", "0.05", "", MODELS, "0.1.0"],
    ...[plate, "m1", "0", ...factors],
    ...[mm, px, null, null].flatMap((trait: Trait) =>
      trait === null ? ["", "", "", ""] : [String(trait[0]), "", "", trait[1]],
    ),
  ]);
  const cell = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return [header, ...lines].map((line) => `${line.map(cell).join(",")}\n`).join("");
}
