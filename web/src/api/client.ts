/**
 * All HTTP requests of the page. Addresses are relative, so every request goes to the server of the page.
 *
 * The credential is a field of this object and lives as long as the tab's document: a script of another page cannot read
 * it, and nothing remains in the browser when the tab is closed.
 */
import type { EditedPlant } from "../model/history";
import type { ModelInfo, Phenotype, Problem, Rollouts, SignInMethods, TraitsRequest, XY } from "./types";

export type MediaType =
  | "application/json"
  | "text/csv"
  | "application/rsml+xml"
  | "application/vnd.plantcv+json";

export interface MeasureOptions {
  mmPerPx: number | null;
  plateWidthMm: number | null;
  expectedPlants: number | null;
  rotate: 0 | 90 | 180 | 270;
}

/** An error response of the server, or a connection that failed (status 0). */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly retryAfterS: number | null = null,
    readonly title = "",
  ) {
    super(message);
    this.name = "ApiError";
  }
}

/** Source of access tokens, which renews them. */
export interface TokenSource {
  /** Return a valid access token. Throws an ApiError with the status 401 if the user must sign in again. */
  token(): Promise<string>;
}

export class ApiClient {
  #credential: string | TokenSource | null = null;

  /** Use this API key, or these tokens, for all later requests; null sends none. */
  signIn(credential: string | TokenSource | null): void {
    this.#credential = credential;
  }

  get isSignedIn(): boolean {
    return this.#credential !== null;
  }

  /** Measure a photograph. `onUpload` gets the uploaded share, from 0 to 1. */
  async measure(
    file: File,
    options: MeasureOptions,
    onUpload: (share: number) => void,
    signal: AbortSignal,
  ): Promise<Phenotype> {
    return this.upload<Phenotype>(`v1/phenotype?${measureQuery(file.name, options)}`, file, onUpload, signal);
  }

  /** Post a photograph. `onUpload` gets the uploaded share, from 0 to 1. */
  async upload<T>(
    path: string,
    file: File,
    onUpload: (share: number) => void,
    signal: AbortSignal,
  ): Promise<T> {
    const headers = await this.#headers("application/json");
    signal.throwIfAborted();
    // fetch reports no progress of an upload
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", path);
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.responseType = "text";
      request.upload.onprogress = (event) => onUpload(event.total > 0 ? event.loaded / event.total : 1);
      request.upload.onload = () => onUpload(1);
      request.onerror = () => reject(new ApiError("", 0));
      request.onabort = () => reject(new DOMException("aborted", "AbortError"));
      request.onload = () => {
        if (request.status === 200) resolve(JSON.parse(request.responseText) as T);
        else reject(toError(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      };
      signal.addEventListener("abort", () => request.abort(), { once: true });
      request.send(file);
    });
  }

  /** Compute the traits of corrected roots. The measured phenotype itself does not change. */
  async computeTraits(
    measured: Phenotype,
    plants: readonly EditedPlant[],
    signal: AbortSignal,
  ): Promise<Phenotype> {
    const response = await this.#postCorrection(measured, plants, "application/json", "", signal);
    return (await response.json()) as Phenotype;
  }

  /** Return a file of a photograph with its corrections. */
  async download(
    measured: Phenotype,
    plants: readonly EditedPlant[],
    mediaType: MediaType,
    table: "wide" | "long" = "wide",
  ): Promise<Blob> {
    return (await this.#postCorrection(measured, plants, mediaType, `?table=${table}`)).blob();
  }

  async #postCorrection(
    measured: Phenotype,
    plants: readonly EditedPlant[],
    mediaType: MediaType,
    query: string,
    signal?: AbortSignal,
  ): Promise<Response> {
    const body: TraitsRequest = {
      phenotype: measured,
      plants: plants.map(({ id, plate, checked, roots }) => ({
        id,
        plate,
        checked,
        roots: roots.map(({ id: root, parent, points }) => ({ id: root, parent, points: points as XY[] })),
      })),
    };
    const init: RequestInit = { method: "POST", body: JSON.stringify(body) };
    if (signal !== undefined) init.signal = signal;
    return this.#fetch(`v1/traits${query}`, init, mediaType);
  }

  async signInMethods(): Promise<SignInMethods> {
    const response = await fetch("v1/sign-in", { credentials: "omit", redirect: "error" });
    if (!response.ok) throw toError(response.status, await response.text(), null);
    return (await response.json()) as SignInMethods;
  }

  async listModels(signal: AbortSignal): Promise<ModelInfo[]> {
    return (await (await this.#fetch("v1/models", { signal }, "application/json")).json()) as ModelInfo[];
  }

  async listRollouts(signal: AbortSignal): Promise<Rollouts> {
    return (await (await this.#fetch("v1/rollouts", { signal }, "application/json")).json()) as Rollouts;
  }

  /** Return the JSON response of a request. */
  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.#fetch(path, init, "application/json")).json()) as T;
  }

  /** Return the bytes of a response. */
  async blob(path: string, accept: string, init: RequestInit = {}): Promise<Blob> {
    return (await this.#fetch(path, init, accept)).blob();
  }

  async #fetch(path: string, init: RequestInit, accept: string): Promise<Response> {
    const headers = await this.#headers(accept);
    let response: Response;
    try {
      response = await fetch(path, {
        ...init,
        headers: {
          ...headers,
          ...(init.body ? { "Content-Type": "application/json" } : {}),
          ...(init.headers as Record<string, string> | undefined),
        },
        credentials: "omit",
        redirect: "error",
      });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
      throw new ApiError("", 0);
    }
    if (!response.ok)
      throw toError(response.status, await response.text(), response.headers.get("Retry-After"));
    return response;
  }

  async #headers(accept: string): Promise<Record<string, string>> {
    const source = this.#credential;
    if (source === null) return { Accept: accept };
    const credential = typeof source === "string" ? source : await source.token();
    return { Accept: accept, Authorization: `Bearer ${credential}` };
  }
}

/** Return the query parameters of a measurement. */
export function measureQuery(name: string, options: MeasureOptions): URLSearchParams {
  const query = new URLSearchParams({ name: name.slice(0, 255) });
  if (options.mmPerPx !== null) query.set("mm_per_px", String(options.mmPerPx));
  if (options.plateWidthMm !== null) query.set("plate_width_mm", String(options.plateWidthMm));
  if (options.expectedPlants !== null) query.set("expected_plants", String(options.expectedPlants));
  if (options.rotate !== 0) query.set("rotate", String(options.rotate));
  return query;
}

function toError(status: number, body: string, retryAfter: string | null): ApiError {
  const seconds = retryAfter === null ? null : Number(retryAfter);
  try {
    const problem = JSON.parse(body) as Problem;
    return new ApiError(problem.detail, status, seconds, problem.title);
  } catch {
    return new ApiError(body.slice(0, 200), status, seconds);
  }
}
