"""Spike statistics and figures: arrays in, tables and axes out; no Brian2 and no files."""
