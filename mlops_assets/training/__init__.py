"""Training: recipes, their fits, and the model files that serving loads.

`forecaster` is the interface of a family; `baselines`, `linear`, `forest` and `boosting` are the
families, registered in `families`; `lstm` and `transformer` are networks on sequences
(`sequence_inputs`, `sequence_fit`, `sequence_program`, `sequence_location`), `prophet_curve` is
there for comparison. `recipe` gives a candidate its identity, `fit` fits one at a
cutoff, `intervals` holds the conformal band, `onnx_export` writes the graph, `model_card` the
card, `tracking` is all of MLflow's tracking. Comparing recipes is `evaluation`'s work.
"""
