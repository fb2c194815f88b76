"""Schemas of the stored tables, each written once; the lowest layer.

Not here: reading and writing (`storage`), rules that need more than one row (`ingestion.quality`).
"""
