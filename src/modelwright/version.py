"""The version of the package; a leaf that anything may import."""

__version__ = "0.1.0"

#: Version of the run-folder and bundle formats; raised when an older reader would misread a newer file.
FORMAT_VERSION = 2
