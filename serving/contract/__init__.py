"""The contract between the pipeline that publishes and the service that answers.

Owned by the consumer, imported by both: model cards, the steps from a model's scale to target
units, and the shape of published snapshots. Imports pydantic and numpy only.
"""
