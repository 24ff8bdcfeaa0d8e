"""What happened after a model went live: the log of predictions, and the labels that came later."""
