import { useEffect, useId, useRef, useState } from "react";
import { strings } from "../strings";
import type { SignInState } from "./useSignIn";

/** Dialog for the sign-in by Entra ID or by an API key. The credential goes to the API client only. */
export function SignInDialog({
  state,
  onEntra,
  onKey,
  onClose,
}: {
  state: SignInState;
  onEntra: () => void;
  onKey: (key: string) => void;
  onClose: () => void;
}) {
  const { methods, isOpen } = state;
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [key, setKey] = useState("");
  useEffect(() => {
    const element = dialog.current;
    if (element === null) return;
    if (isOpen && !element.open) element.showModal();
    if (!isOpen && element.open) element.close();
  }, [isOpen]);
  return (
    <dialog ref={dialog} aria-labelledby={`${id}-title`} onClose={onClose}>
      <h2 id={`${id}-title`}>{strings.signIn.title}</h2>
      {state.isRequired && <p>{strings.signIn.required}</p>}
      {state.error !== null && (
        <p role="alert" className="error-text">
          {state.error}
        </p>
      )}
      {methods.entra !== null && (
        <div className="sign-in-entra">
          <button type="button" className="primary" onClick={onEntra}>
            {strings.signIn.entra}
          </button>
          <p className="hint" role="status">
            {state.isWaiting ? strings.signIn.waiting : strings.signIn.entraHelp}
          </p>
        </div>
      )}
      {methods.api_key && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (key.trim() !== "") onKey(key.trim());
            setKey("");
          }}
        >
          <label htmlFor={id}>{strings.signIn.label}</label>
          <input
            id={id}
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={key}
            aria-describedby={`${id}-help`}
            onChange={(event) => setKey(event.target.value)}
          />
          <p id={`${id}-help`} className="hint">
            {strings.signIn.help}
          </p>
          <div className="row">
            <button type="submit" className={methods.entra === null ? "primary" : ""}>
              {strings.signIn.submit}
            </button>
          </div>
        </form>
      )}
      <button type="button" onClick={onClose}>
        {strings.signIn.cancel}
      </button>
    </dialog>
  );
}
