"""Drift: whether what arrives now still looks like what the champion was trained on.

`columns` says what is compared, `windows` which stretches of time, `distance` how far apart two
stretches are, `threshold` how far is too far, `errors` watches the champion's errors, `report` puts
them together, `page` draws Evidently's page. Retraining on drift is `automation`'s, and the roll
back on live error is the control's.
"""
