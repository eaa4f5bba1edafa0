// @vitest-environment jsdom
import { cleanup, render, screen } from "@testing-library/react";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ApiClient } from "../src/api/client";
import { DEFAULT_CHOICES } from "../src/series/choices";
import { SeriesPage } from "../src/series/SeriesPage";

vi.mock("../src/series/SeriesView", () => {
  throw new Error("the server was replaced by a newer one");
});
afterEach(cleanup);

describe("SeriesPage", () => {
  it("keeps the page when its script cannot be loaded", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined); // React reports the caught error
    render(
      <div>
        <p>unsaved corrections</p>
        <SeriesPage
          client={new ApiClient()}
          photographs={[]}
          choices={[DEFAULT_CHOICES, () => undefined]}
          notice={null}
          onRetry={() => undefined}
          onUnauthorised={() => undefined}
        >
          {null}
        </SeriesPage>
      </div>,
    );
    expect((await screen.findByRole("alert")).textContent).toContain("could not be loaded");
    expect(screen.getByText("unsaved corrections")).toBeTruthy();
  });
});
