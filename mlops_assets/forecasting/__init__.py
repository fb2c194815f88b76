"""Forecasting: what the champion and its challengers say now, and the snapshot that serves it.

`live` computes forecasts with the registered model files, `snapshot` gathers what is published.
Scoring them when they come true is `monitoring`'s.
"""
