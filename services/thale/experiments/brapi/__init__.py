"""Objects of BrAPI v2.1 from the store: studies, observation units, variables, observations and images (ADR 0143)."""
