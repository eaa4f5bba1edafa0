/** Positions of pointers. */
import type { XY } from "../api/types";

/** Return the position of an event in an element. */
export function positionOf(event: { clientX: number; clientY: number }, element: Element): XY {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

export function middle(first: XY, second: XY): XY {
  return [(first[0] + second[0]) / 2, (first[1] + second[1]) / 2];
}
