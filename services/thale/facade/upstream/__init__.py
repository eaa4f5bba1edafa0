"""Model servers behind the facade: client, traffic split, circuit breakers and release state."""
