"""The problems: one folder with a `defs.yaml` each."""
