import { strings } from "../strings";

export function ReviewHeader({ left, isEmpty }: { left: number; isEmpty: boolean }) {
  return (
    <div className="queue-header">
      <h2>{strings.review.title}</h2>
      <p className="review-left" role="status">
        {isEmpty ? strings.review.empty : strings.review.left(left)}
      </p>
      {!isEmpty && <p className="hint">{strings.review.order}</p>}
    </div>
  );
}
