"""Tables: reading them, their fingerprint, what their columns are.

``read.read`` gives a ``table.Table`` from a file, folder, URL, database or object in memory;
``fingerprint.fingerprint`` names its content.
"""
