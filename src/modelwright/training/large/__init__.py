"""Tables that do not fit in memory: scanned, sampled for the search, then fitted in full batch by batch.

`source` decides whether a table is large, and gives the flow what it needs in memory; `draw` is the pass that
divides and samples; `stream` gives the training rows encoded; `plan` fits rows and rounds to the time left; `fit`
fits the members that the search chose on all training rows.
"""
