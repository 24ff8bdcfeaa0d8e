"""Runs in an MLflow tracking server as well: mirrored to it, and brought in from it. MLflow comes with the extra ``mlflow``."""
