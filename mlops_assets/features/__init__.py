"""Features: what can be known at an origin, as numbers.

`bars` holds a source on its regular grid, `builders` and `calendar` turn it into columns,
`feature_set` runs the builders that a problem names and keeps the table point-in-time, `design`
lays one row per (series, origin, step) for models. Targets never live here: `design.add_targets`
joins them in training and evaluation only.
"""
