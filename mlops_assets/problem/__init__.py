"""The forecast problem: the one description that every stage reads, as plain data.

`forecast_problem` is the whole and how it is read from YAML, `sources` its sources by kind, `rules`
what counts as good, proven or late, `parts` the types they share.
"""

from mlops_assets.problem.forecast_problem import (
    Candidate,
    EventCalendar,
    FeatureGroup,
    ForecastProblem,
    ScaleModel,
    Target,
    describe_errors,
    load_problem,
)
from mlops_assets.problem.parts import Duration, ProblemError, floor_to_grid, parse_duration
from mlops_assets.problem.rules import Band, Control, Drift, Evaluation, Freshness, Promotion
from mlops_assets.problem.sources import (
    SEPARATOR,
    BinanceLive,
    CandleSource,
    ChannelSample,
    ChannelSource,
    FileSource,
    NaverLive,
    SampleSource,
    ShareSample,
    Source,
    Total,
    ValueSource,
    YahooLive,
    YouTubeLive,
    labels_of,
)

__all__ = [
    "SEPARATOR",
    "Band",
    "BinanceLive",
    "Candidate",
    "CandleSource",
    "ChannelSample",
    "ChannelSource",
    "Control",
    "Drift",
    "Duration",
    "Evaluation",
    "EventCalendar",
    "FeatureGroup",
    "FileSource",
    "ForecastProblem",
    "Freshness",
    "NaverLive",
    "ProblemError",
    "Promotion",
    "SampleSource",
    "ScaleModel",
    "ShareSample",
    "Source",
    "Target",
    "Total",
    "ValueSource",
    "YahooLive",
    "YouTubeLive",
    "describe_errors",
    "floor_to_grid",
    "labels_of",
    "load_problem",
    "parse_duration",
]
