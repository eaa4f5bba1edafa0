import { useEffect, useId, useRef, useState } from "react";
import { strings } from "../strings";

/** Dialog for an API key. The key goes to the API client only. */
export function SignIn({
  isOpen,
  isRequired,
  onKey,
  onClose,
}: {
  isOpen: boolean;
  isRequired: boolean;
  onKey: (key: string) => void;
  onClose: () => void;
}) {
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
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (key.trim() !== "") onKey(key.trim());
          setKey("");
        }}
      >
        <h2 id={`${id}-title`}>{strings.signIn.title}</h2>
        {isRequired && <p>{strings.signIn.required}</p>}
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
          <button type="submit" className="primary">
            {strings.signIn.submit}
          </button>
          <button type="button" onClick={onClose}>
            {strings.signIn.cancel}
          </button>
        </div>
      </form>
    </dialog>
  );
}
