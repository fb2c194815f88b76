"""How good the recipes are: backtest over rolling origins, scores, significance, report.

Pure numerics: `rows` (which rows are compared), `metrics`, `significance`, `leaderboard`, `plots`,
`report`. What becomes of the figures is decided in `promotion`.
"""
