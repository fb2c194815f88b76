"""What all stages share of Dagster: the clock, the resources, partitions, the job's words.

Not here: assets and checks (each stage has its own), sensors and schedules (`automation`).
"""

import warnings

from dagster import BetaWarning

# Used knowingly: single-run backfills and dagster-mlflow. A warning at each import helps no user.
warnings.filterwarnings("ignore", category=BetaWarning)
