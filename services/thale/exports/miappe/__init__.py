"""Publication of an experiment by MIAPPE 1.2: the facts of the checklist, and their files (ADR 0143)."""
