"""The user's own training code as runs: what it logs, how it is started, and how it is read again."""
