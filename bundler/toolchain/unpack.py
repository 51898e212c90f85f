# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors
"""Unpacks one folder of a wheel or source archive: unpack.py ARCHIVE FOLDER/ DESTINATION

Only plain files are taken, and files that were executable stay so.
"""

import pathlib
import shutil
import sys
import tarfile
import zipfile


def members(archive):
    """Yields (name, mode, stream) of each plain file."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, info.external_attr >> 16, zipped.open(info)
    else:
        with tarfile.open(archive) as tarred:
            for info in tarred:
                if info.isfile():
                    yield info.name, info.mode, tarred.extractfile(info)


archive, folder, destination = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]).resolve()
found = False
for name, mode, stream in members(archive):
    if not name.startswith(folder):
        continue
    target = (destination / name[len(folder) :]).resolve()
    if destination not in target.parents:
        sys.exit(f"{archive}: {name} would leave the destination")
    target.parent.mkdir(parents=True, exist_ok=True)
    with stream, open(target, "wb") as out:
        shutil.copyfileobj(stream, out, 1 << 20)
    target.chmod(0o755 if mode & 0o111 else 0o644)
    found = True
if not found:
    sys.exit(f"{archive}: there is no folder {folder}")
