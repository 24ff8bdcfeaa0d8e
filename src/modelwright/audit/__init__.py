"""What is noticed about training rows before anything is fitted; `checks` has the list."""
