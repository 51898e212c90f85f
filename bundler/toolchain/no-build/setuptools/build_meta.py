# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors
"""A build backend that answers pip's question for metadata and builds nothing.

`pip download` of a source archive asks the archive's build backend for its name and version, which runs the
archive's setup.py and needs its build requirements. We want the archive alone, so this folder is put in front of
Python's path and the answer is read from the archive's PKG-INFO.
"""

import email.parser
import pathlib


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    info = email.parser.Parser().parsestr(text, headersonly=True)
    folder = pathlib.Path(metadata_directory, f"{info['Name'].replace('-', '_')}-{info['Version']}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {info['Name']}\nVersion: {info['Version']}\n", encoding="utf-8"
    )
    return folder.name
