"""What a model meets in production: its inputs, its answers, and later the truth."""
