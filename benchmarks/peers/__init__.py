"""Parts of ``benchmarks/peers.py``: the division of a table, the child that trains, the watcher, the scores, the summary."""
