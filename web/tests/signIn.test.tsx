// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiClient, type TokenSource } from "../src/api/client";
import { SignInButton } from "../src/signIn/SignInButton";
import { SignInDialog } from "../src/signIn/SignInDialog";
import { useSignIn } from "../src/signIn/useSignIn";

const session = { signIn: vi.fn(), signOut: vi.fn().mockResolvedValue(undefined), token: vi.fn() };
const opened = vi.hoisted(() => vi.fn());
vi.mock("../src/signIn/entra", () => ({ EntraSession: { open: opened } }));

const ENTRA = { authority: "https://login.example.org/tenant", client_id: "page", scope: "api/.default" };

function Fixture({ client, onSignedIn }: { client: ApiClient; onSignedIn: () => void }) {
  const signIn = useSignIn(client, onSignedIn);
  return (
    <>
      <SignInButton signIn={signIn} />
      <SignInDialog
        state={signIn.state}
        onEntra={signIn.signInByEntra}
        onKey={signIn.useKey}
        onClose={signIn.close}
      />
    </>
  );
}

async function start(methods: Awaited<ReturnType<ApiClient["signInMethods"]>> | null) {
  const client = new ApiClient();
  const asked = vi.spyOn(client, "signInMethods");
  if (methods === null) asked.mockRejectedValue(new Error("unreachable"));
  else asked.mockResolvedValue(methods);
  const onSignedIn = vi.fn();
  render(<Fixture client={client} onSignedIn={onSignedIn} />);
  await waitFor(() => expect(asked).toHaveBeenCalled());
  fireEvent.click(screen.getByRole("button", { name: "Sign in…" }));
  return { client, onSignedIn };
}

beforeEach(() => {
  HTMLDialogElement.prototype.showModal = function showModal() {
    this.open = true;
  };
  HTMLDialogElement.prototype.close = function close() {
    this.open = false;
  };
  opened.mockReset().mockResolvedValue(session);
});
afterEach(cleanup);

describe("useSignIn", () => {
  it("offers only what the server accepts", async () => {
    await start({ is_required: true, api_key: false, entra: ENTRA });
    await screen.findByRole("button", { name: "Sign in with Microsoft Entra ID" });
    expect(screen.queryByLabelText("API key")).toBeNull();
    cleanup();
    await start({ is_required: true, api_key: true, entra: null });
    expect(screen.getByLabelText("API key")).toBeTruthy();
    expect(screen.queryByRole("button", { name: /Entra/ })).toBeNull();
    expect(opened).toHaveBeenCalledTimes(1); // by the first server only
  });

  it("offers API keys when the server cannot be asked", async () => {
    const { client, onSignedIn } = await start(null);
    fireEvent.change(screen.getByLabelText("API key"), { target: { value: " thale_key " } });
    fireEvent.click(screen.getByRole("button", { name: "Use this key" }));
    expect(client.isSignedIn).toBe(true);
    expect(onSignedIn).toHaveBeenCalledTimes(1);
    fireEvent.click(screen.getByRole("button", { name: "Sign out" }));
    expect(client.isSignedIn).toBe(false);
  });

  it("shows why a sign-in failed, and signs in at the second attempt", async () => {
    const { client, onSignedIn } = await start({ is_required: true, api_key: true, entra: ENTRA });
    const button = await screen.findByRole("button", { name: "Sign in with Microsoft Entra ID" });
    session.signIn.mockRejectedValueOnce(new Error("The sign-in failed: AADSTS50105"));
    fireEvent.click(button);
    await screen.findByText("The sign-in failed: AADSTS50105");
    expect(client.isSignedIn).toBe(false);
    session.signIn.mockResolvedValue("Anna Berg");
    fireEvent.click(button);
    fireEvent.click(await screen.findByRole("button", { name: "Sign out Anna Berg" }));
    expect(onSignedIn).toHaveBeenCalledTimes(1);
    expect(session.signOut).toHaveBeenCalledTimes(1);
    expect(client.isSignedIn).toBe(false);
  });

  it("keeps the second attempt when it ends the first", async () => {
    await start({ is_required: true, api_key: true, entra: ENTRA });
    const button = await screen.findByRole("button", { name: "Sign in with Microsoft Entra ID" });
    let endFirst: (reason: Error) => void = () => undefined;
    session.signIn
      .mockImplementationOnce(
        () =>
          new Promise((_, reject) => {
            endFirst = reject;
          }),
      )
      .mockImplementationOnce(() => new Promise(() => undefined));
    fireEvent.click(button);
    await waitFor(() => expect(session.signIn).toHaveBeenCalled());
    fireEvent.click(button);
    endFirst(new Error("interaction cancelled"));
    await waitFor(() => screen.getByText(/window that has opened/));
    expect(screen.queryByText("interaction cancelled")).toBeNull();
  });
});

describe("ApiClient with tokens", () => {
  it("takes the token of each request from its source", async () => {
    const fetched = vi.fn().mockImplementation(() => Promise.resolve(new Response("[]", { status: 200 })));
    vi.stubGlobal("fetch", fetched);
    const tokens = ["first", "second"];
    const source: TokenSource = { token: () => Promise.resolve(tokens.shift() as string) };
    const client = new ApiClient();
    client.signIn(source);
    for (const token of ["first", "second"]) {
      await client.listModels(new AbortController().signal);
      const init = fetched.mock.lastCall?.[1] as RequestInit;
      expect((init.headers as Record<string, string>)["Authorization"]).toBe(`Bearer ${token}`);
    }
    vi.unstubAllGlobals();
  });
});
