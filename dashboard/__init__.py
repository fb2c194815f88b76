"""The dashboard: pages over the forecast API, for people.

Here: a client of the API and what is drawn of its answers. Not here: any figure's origin; the
pipeline makes them and the service publishes them. Nothing here imports either.
"""
