/** What the user has chosen for a series: its photographs, their times, and how times and plates are read. */

export interface PhotographChoice {
  isIncluded: boolean;
  /** Time that the user enters, in ISO 8601; "" while the field is empty, null while it is closed. */
  time: string | null;
}

export interface Choices {
  timeZone: string;
  timeOfDay: string;
  /** True if all photographs show one plate, whatever their file names are. */
  isOnePlate: boolean;
  /** Choices by the id of the photograph. A photograph without an entry is included. */
  byId: ReadonlyMap<number, PhotographChoice>;
}

export const DEFAULT_CHOICES: Choices = {
  timeZone: "",
  timeOfDay: "",
  isOnePlate: false,
  byId: new Map(),
};

const DEFAULT_CHOICE: PhotographChoice = { isIncluded: true, time: null };

export function choiceOf(choices: Choices, id: number): PhotographChoice {
  return choices.byId.get(id) ?? DEFAULT_CHOICE;
}

export function withChoice(choices: Choices, id: number, change: Partial<PhotographChoice>): Choices {
  return { ...choices, byId: new Map(choices.byId).set(id, { ...choiceOf(choices, id), ...change }) };
}
