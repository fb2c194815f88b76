"""The command `mlops`: runs problems, starts the services, shows and deletes state.

Here: argument parsing, progress, tables and the supervisor of local processes. Not here: what any
command does to data or models (the stages do that), and nothing that production needs.
"""
