"""The asset `live_scores` and its check `control`."""
