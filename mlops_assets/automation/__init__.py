"""Automation: what runs without anyone asking.

`run_status` closes the MLflow run of each Dagster run with the status that it really had.
"""
