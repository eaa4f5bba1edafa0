"""HTTP API of the facade: routes, middleware, content negotiation, uploads and problem details."""
