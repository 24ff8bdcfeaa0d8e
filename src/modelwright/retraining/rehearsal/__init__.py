"""History played through the loop under several policies, so that one is chosen by evidence."""
