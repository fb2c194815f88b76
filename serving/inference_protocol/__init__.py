"""The Open Inference Protocol, version 2, over REST: what standard inference clients speak."""
