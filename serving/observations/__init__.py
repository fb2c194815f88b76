"""Observed values over HTTP, for charts."""
