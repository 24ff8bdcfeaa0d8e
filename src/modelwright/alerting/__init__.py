"""Who is told what, by which channel: rules with a count, a period and a rest, and an outbox that tries again."""
