import { Component, type ReactNode } from "react";

/** Shows `fallback` if a script of its children cannot be loaded. The page, with all unsaved corrections, stays. */
export class LoadBoundary extends Component<
  { children: ReactNode; fallback: ReactNode },
  { hasFailed: boolean }
> {
  override state = { hasFailed: false };

  static getDerivedStateFromError(): { hasFailed: boolean } {
    return { hasFailed: true };
  }

  override render(): ReactNode {
    return this.state.hasFailed ? this.props.fallback : this.props.children;
  }
}
