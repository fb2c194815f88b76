"""The published problems and their series over HTTP."""
