import { strings } from "../strings";
import type { useSignIn } from "./useSignIn";

/** Button that opens the sign-in, or signs the user out. */
export function SignInButton({ signIn }: { signIn: ReturnType<typeof useSignIn> }) {
  const { isSignedIn, name } = signIn.state;
  return isSignedIn ? (
    <button type="button" onClick={signIn.signOut}>
      {name === null ? strings.signIn.signOut : strings.signIn.signOutOf(name)}
    </button>
  ) : (
    <button type="button" onClick={signIn.open}>
      {strings.signIn.open}
    </button>
  );
}
