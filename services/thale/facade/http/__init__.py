"""HTTP server of the facade and its limits for each connection."""
