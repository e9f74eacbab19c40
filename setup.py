"""Packages by the folders there are; all else stands in pyproject.toml."""

from setuptools import find_packages, setup

folders = find_packages(include=["models", "models.*", "analysis", "analysis.*"])
setup(
    packages=["ann2brian", *(f"ann2brian.{folder}" for folder in folders)],
    package_dir={"ann2brian.models": "models", "ann2brian.analysis": "analysis"},
)
