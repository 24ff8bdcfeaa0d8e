"""Planted-leak benchmark; see `run.py`."""
