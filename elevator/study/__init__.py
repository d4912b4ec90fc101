"""The paper's tables, from one command: what is compared, made, measured, and told with intervals.

`tables` says what is compared and `arms` what makes a clip, `making` makes it and `measuring` reads it, `running` makes
what is missing and `records` keeps it, `statistics` gives intervals, `page`, `plots` and `sheets` show all of it.
"""
