"""Life cycle of a release: transitions, history and the author of a change."""
