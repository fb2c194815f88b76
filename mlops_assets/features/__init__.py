"""Features: what can be known at an origin, as numbers.

`bars` and `panel` hold a target on its regular grid, as one series of bars or as a panel of values;
`builders`, `panel_builders` and `calendar` turn it into columns. `feature_groups` knows what the
groups of a problem make, `feature_set` runs their builders and keeps the table point-in-time,
`design` lays one row per (series, origin, step) for models. Targets never live here:
`design.add_targets` joins them in training and evaluation only.
"""
