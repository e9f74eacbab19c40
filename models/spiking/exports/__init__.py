"""Spike trains as other tools hold them, and back: tables, rasters, events, Neo, NWB files.

Integer steps stand beside the times in every format, so that nothing has to be guessed on the way
back. Optional packages are imported when they are needed, by the module that is named after them.
"""
