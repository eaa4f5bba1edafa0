"""Authentication and authorisation of callers: API keys, Entra ID tokens, scopes."""
