"""A model as an ONNX graph, and the comparison that it must pass before it is written.

`graph` collects nodes, `inputs` turns cells into what members read, `trees` holds the members, `outputs` the calibration
and the labels, `export` puts them together and compares.
"""
