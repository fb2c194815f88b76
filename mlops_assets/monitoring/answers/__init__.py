"""What the service answered: the prediction log, brought into the tables.

`reading` asks the service's database for new rows, `collecting` adds them to the stored table,
`variants` compares those who answered.
Writing the log is the service's (`serving.prediction_log`); its columns are the contract's.
"""
