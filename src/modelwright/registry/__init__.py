"""Models by name: versions that never change, aliases that move, and the log of who decided what and why."""
