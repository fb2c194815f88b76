"""Forecasts over HTTP: the newest, from origins or ranges of them, or from features given."""
