"""The model registry, read and written without MLflow."""
