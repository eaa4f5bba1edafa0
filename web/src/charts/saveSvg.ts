/** Charts as files for a publication: white ground, and no marks of the page. */
import { save } from "../downloads";

const NAMESPACE = "http://www.w3.org/2000/svg";

export function toSvgText(chart: SVGSVGElement): string {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  for (const mark of copy.querySelectorAll(".chart-hit, .chart-now")) mark.remove();
  for (const element of copy.querySelectorAll("*")) {
    const colour = element.closest("[color]")?.getAttribute("color");
    // not all programs that read SVG know currentColor
    for (const name of ["fill", "stroke"])
      if (element.getAttribute(name) === "currentColor") element.setAttribute(name, colour ?? "#000000");
  }
  for (const element of copy.querySelectorAll("*"))
    for (const name of ["class", "color", "data-photograph"]) element.removeAttribute(name);
  const [, , width, height] = (copy.getAttribute("viewBox") ?? "0 0 0 0").split(" ");
  const ground = document.createElementNS(NAMESPACE, "rect");
  for (const [name, value] of [
    ["width", width],
    ["height", height],
    ["fill", "#ffffff"],
  ] as const)
    ground.setAttribute(name, value ?? "0");
  copy.prepend(ground);
  copy.setAttribute("width", width ?? "0");
  copy.setAttribute("height", height ?? "0");
  copy.removeAttribute("class");
  return new XMLSerializer().serializeToString(copy);
}

export function saveSvg(chart: SVGSVGElement, name: string): void {
  save(new Blob([toSvgText(chart)], { type: "image/svg+xml" }), name);
}

const PNG_WIDTH_PX = 2400;

/** Save a chart as PNG, wide enough for a printed page. Rejects if the browser cannot draw it. */
export async function savePng(chart: SVGSVGElement, name: string): Promise<void> {
  const address = URL.createObjectURL(new Blob([toSvgText(chart)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = PNG_WIDTH_PX;
    canvas.height = Math.round((PNG_WIDTH_PX * image.naturalHeight) / image.naturalWidth);
    canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
    if (blob === null) throw new Error("no PNG");
    save(blob, name);
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Return a text as the name of a file, without the extension. */
export function fileName(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N}.-]+/gu, "_").replace(/^[._]+/, "") || "chart";
}
