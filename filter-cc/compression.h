// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Packing and unpacking for builtins/compression.ts, by zlib, whose memory is the script's.

#pragma once

#include "filter-cc/bind.h"

namespace fairlead {

/** What builtins/compression.ts imports: newCodec, runCodec. False: out of memory. */
bool defineCompressionNatives(Runtime& runtime, JSValueConst exports);

}  // namespace fairlead
