"""Where tables and published snapshots are kept: a folder or `s3://`.

Not here: what the tables hold (`tables`) and when they are written (the stages' assets).
"""
