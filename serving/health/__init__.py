"""Health over HTTP: is the process alive, can it answer, and with what."""
