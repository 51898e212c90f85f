#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Copyright The fairlead Authors
#
# The fetched zig as a compiler for CMake, with its caches inside the build folder: zig.sh cc|c++|ar|ranlib ARGUMENTS
build=$(dirname "$0")/../../build
export ZIG_GLOBAL_CACHE_DIR="$build/zig-cache/global" ZIG_LOCAL_CACHE_DIR="$build/zig-cache/local"
exec "$build/third-party/zig/zig" "$@"
