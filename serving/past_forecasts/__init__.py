"""Published batch forecasts over HTTP, as they were made."""
