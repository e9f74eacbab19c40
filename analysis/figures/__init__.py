"""Functions that draw on given axes, one file for each subject."""
