"""Monitoring: what came true of live forecasts, drift of what arrives, what was answered."""
