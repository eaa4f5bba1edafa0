/** Repetition of requests that a busy server refused. */
import { ApiError } from "./api/client";

const MAX_ATTEMPTS = 5;
const MAX_WAIT_S = 60;

/** Run a request up to five times while the server is busy, and wait as long as its response says. */
export async function retryWhileBusy<T>(request: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await request();
    } catch (error) {
      const isBusy = error instanceof ApiError && (error.status === 503 || error.status === 429);
      if (!isBusy || attempt === MAX_ATTEMPTS || (error.retryAfterS ?? 0) > MAX_WAIT_S) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (error.retryAfterS ?? 2)));
    }
  }
}
