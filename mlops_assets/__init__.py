"""An asset-centric forecasting platform on Dagster.

The pipeline is the map, one package a stage, in the order in which data flows:

`tables` (schemas) and `problem` (the YAML) describe; `storage` keeps; `orchestration` holds the
clock, resources and conditions; `ingestion` -> `features` -> `training` -> `evaluation` ->
`promotion` -> `forecasting` -> `monitoring` are the stages; `automation` and `replay` drive them;
`components` turns a problem into assets, `definitions` assembles, `cli` is the command `mlops`.
The service that answers is the package `serving`, which imports none of this.
"""
