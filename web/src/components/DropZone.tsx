import { useRef } from "react";
import { type Selection, selectImages } from "../model/files";
import { strings } from "../strings";

/** Buttons that open the file dialogs. The whole window accepts drops. */
export function DropZone({ onSelect }: { onSelect: (selection: Selection) => void }) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const select = (input: HTMLInputElement) => {
    onSelect(selectImages(input.files ?? []));
    input.value = ""; // the same file can be selected again
  };
  return (
    <section className="drop" aria-label={strings.drop.title}>
      <p className="drop-title">{strings.drop.title}</p>
      <div className="row">
        <button type="button" className="primary" onClick={() => files.current?.click()}>
          {strings.drop.files}
        </button>
        <button type="button" onClick={() => folder.current?.click()}>
          {strings.drop.folder}
        </button>
      </div>
      <p className="hint">{strings.drop.hint}</p>
      <input
        ref={files}
        type="file"
        hidden
        multiple
        data-testid="files"
        aria-label={strings.drop.files}
        accept="image/jpeg,image/png,image/tiff,image/heic,.jpg,.jpeg,.png,.tif,.tiff,.heic,.heif"
        onChange={(event) => select(event.target)}
      />
      <input
        ref={folder}
        type="file"
        hidden
        multiple
        aria-label={strings.drop.folder}
        {...{ webkitdirectory: "" }}
        onChange={(event) => select(event.target)}
      />
    </section>
  );
}
