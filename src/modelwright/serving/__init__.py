"""Models behind HTTP: request forms, scoring, swaps, tokens, limits, logs and metrics. `app.py` puts them together."""
