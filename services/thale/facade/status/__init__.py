"""Self-monitoring of the facade and its status page."""
