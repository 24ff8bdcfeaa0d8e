"""When a model is trained again, what the new one must prove, and how it goes live."""
