"""Where a run comes from: code, command, packages, machine and source; and what of it must not be written."""
