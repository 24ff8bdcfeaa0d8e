"""A run again by its plan, compared step by step with what it recorded.

`flow` reads from top to bottom; `refit` fits members again, `sealed` compares predictions and score, `suspects` says what
is different here from there, `environment` rebuilds the packages of the run, `child` does it all in a process of its own.
"""
