"""The sections of the page: functions from the run's data to the values of a template."""
