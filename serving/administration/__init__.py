"""Steering what is served: traffic between variants, rolling back, an immediate look."""
