"""Replay: the production assets run on a past clock, isolated from production."""
