"""Forecasts over HTTP: the newest ones, from a past origin, or from features that are given."""
