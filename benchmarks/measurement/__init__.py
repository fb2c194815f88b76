"""What the benchmark scripts share: rounds, throw-away homes, edited problems, the event log.

Here: how something is measured. Not here: what is measured (the scripts beside this package).
"""
