"""The served model over HTTP: its card, its version and the verdict behind it."""
