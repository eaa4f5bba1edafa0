/**
 * Sign-in by Entra ID: authorization code with PKCE, by Microsoft's library. This module is loaded only if the server
 * offers Entra ID.
 *
 * A window of its own shows the authority, because a redirect of the page would lose its photographs and corrections.
 * Tokens, the state and the verifier are in the memory of the page. No store of the browser has them.
 */
import {
  type AccountInfo,
  AuthError,
  BrowserCacheLocation,
  CacheLookupPolicy,
  InteractionRequiredAuthError,
  PublicClientApplication,
} from "@azure/msal-browser";
import { ApiError, type TokenSource } from "../api/client";
import type { EntraSignIn } from "../api/types";
import { strings } from "../strings";

/** Time for a password and a second factor. */
const SIGN_IN_TIMEOUT_MS = 300_000;

export class EntraSession implements TokenSource {
  readonly #application: PublicClientApplication;
  readonly #scopes: string[];
  #account: AccountInfo | null = null;

  private constructor(application: PublicClientApplication, scope: string) {
    this.#application = application;
    this.#scopes = [scope];
  }

  static async open({ authority, client_id, scope }: EntraSignIn): Promise<EntraSession> {
    const application = new PublicClientApplication({
      auth: {
        clientId: client_id,
        authority,
        knownAuthorities: [new URL(authority).host], // no request to another authority that confirms this one
        redirectUri: new URL("sign-in", document.baseURI).href,
      },
      system: { popupBridgeTimeout: SIGN_IN_TIMEOUT_MS },
      cache: { cacheLocation: BrowserCacheLocation.MemoryStorage },
    });
    await application.initialize();
    return new EntraSession(application, scope);
  }

  /** Open the window of the authority, and return the name of the user. Call it in the handler of a click. */
  async signIn(): Promise<string> {
    try {
      const { account } = await this.#application.loginPopup({
        scopes: this.#scopes,
        overrideInteractionInProgress: true, // of a window that the user has closed
      });
      this.#account = account;
      return account.name ?? account.username;
    } catch (reason) {
      throw new Error(describeFailure(reason));
    }
  }

  /** Return an access token that is valid for some minutes at least. */
  async token(): Promise<string> {
    if (this.#account === null) throw new ApiError(strings.signIn.expired, 401);
    try {
      const result = await this.#application.acquireTokenSilent({
        scopes: this.#scopes,
        account: this.#account,
        cacheLookupPolicy: CacheLookupPolicy.AccessTokenAndRefreshToken, // no hidden frame
      });
      return result.accessToken;
    } catch (reason) {
      if (reason instanceof InteractionRequiredAuthError) throw new ApiError(strings.signIn.expired, 401);
      throw new ApiError(strings.signIn.unreachable, 401);
    }
  }

  /** Forget the tokens. The user stays signed in at the authority. */
  async signOut(): Promise<void> {
    this.#account = null;
    await this.#application.clearCache();
  }
}

function describeFailure(reason: unknown): string {
  if (!(reason instanceof AuthError)) return strings.signIn.failed(String(reason));
  if (["popup_window_error", "empty_window_error"].includes(reason.errorCode)) return strings.signIn.blocked;
  return strings.signIn.failed(reason.errorMessage || reason.errorCode);
}
