import { useCallback, useEffect, useRef, useState } from "react";
import type { ApiClient } from "../api/client";
import type { EntraSignIn, SignInMethods } from "../api/types";
import type { EntraSession } from "./entra";

/** A server that cannot be asked is treated as one with API keys. */
const UNKNOWN_METHODS: SignInMethods = { is_required: false, api_key: true, entra: null };

export interface SignInState {
  methods: SignInMethods;
  isOpen: boolean;
  /** True after a request without a valid credential. */
  isRequired: boolean;
  isSignedIn: boolean;
  /** Name of the user, if the authority has returned one. */
  name: string | null;
  isWaiting: boolean;
  error: string | null;
}

/** State of the sign-in, and its actions. `onSignedIn` is called after each sign-in. */
export function useSignIn(client: ApiClient, onSignedIn: () => void) {
  const [state, setState] = useState<SignInState>({
    methods: UNKNOWN_METHODS,
    isOpen: false,
    isRequired: false,
    isSignedIn: client.isSignedIn,
    name: null,
    isWaiting: false,
    error: null,
  });
  const change = useCallback(
    (changes: Partial<SignInState>) => setState((last) => ({ ...last, ...changes })),
    [],
  );
  const session = useRef<EntraSession | null>(null);
  const attempts = useRef(0);

  useEffect(() => {
    let isCurrent = true;
    client.signInMethods().then(
      (methods) => isCurrent && change({ methods }),
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [client, change]);

  const { entra } = state.methods;
  useEffect(() => {
    if (!state.isOpen || entra === null) return;
    // loaded before the click, because a browser blocks windows that open long after it
    loadSession(entra, session).catch((reason: unknown) => change({ error: messageOf(reason) }));
  }, [state.isOpen, entra, change]);

  const finish = (name: string | null) => {
    change({ isOpen: false, isRequired: false, isSignedIn: true, isWaiting: false, error: null, name });
    onSignedIn();
  };
  return {
    state,
    open: () => change({ isOpen: true, error: null }),
    close: () => change({ isOpen: false }),
    /** Open the dialog, because the server has rejected the credential. */
    require: useCallback(() => change({ isOpen: true, isRequired: true, isSignedIn: false }), [change]),
    useKey: (key: string) => {
      client.signIn(key);
      finish(null);
    },
    signInByEntra: async () => {
      if (entra === null) return;
      attempts.current += 1;
      const attempt = attempts.current;
      change({ isWaiting: true, error: null });
      try {
        const opened = await loadSession(entra, session);
        const name = await opened.signIn();
        client.signIn(opened);
        finish(name);
      } catch (reason) {
        // a second attempt ends the first one
        if (attempt === attempts.current) change({ isWaiting: false, error: messageOf(reason) });
      }
    },
    signOut: () => {
      client.signIn(null);
      void session.current?.signOut();
      change({ isSignedIn: false, name: null });
    },
  };
}

async function loadSession(
  entra: EntraSignIn,
  session: { current: EntraSession | null },
): Promise<EntraSession> {
  if (session.current === null) {
    const { EntraSession: Session } = await import("./entra");
    session.current = await Session.open(entra);
  }
  return session.current;
}

function messageOf(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
