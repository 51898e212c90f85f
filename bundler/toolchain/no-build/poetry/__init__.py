# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors
"""Stands in for poetry.core.masonry.api, the other build backend that source archives name: see setuptools/build_meta.py."""

import sys

from setuptools import build_meta

for module in ("core", "core.masonry", "core.masonry.api"):
    sys.modules[f"poetry.{module}"] = build_meta
