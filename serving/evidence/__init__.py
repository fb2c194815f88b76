"""What speaks for and against the served models over HTTP: scores, verdicts, drift, replays."""
