"""Packages that are needed to read some files only."""

from ..installs import needed as needed
