// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What each api_<stem>.cc adds to a script's world; runtime.cc puts it together.

#pragma once

#include <span>

#include "filter-cc/bind.h"

namespace fairlead {

// Classes: make the class in a Runtime and give its constructor.
JSValue defineHeaders(Runtime& runtime);
JSValue defineRequest(Runtime& runtime);
JSValue defineResponse(Runtime& runtime);
JSValue defineContext(Runtime& runtime);
JSValue defineAttributes(Runtime& runtime);
JSValue defineConnection(Runtime& runtime);
JSValue defineMetadata(Runtime& runtime);
JSValue defineFilterState(Runtime& runtime);
JSValue defineRoute(Runtime& runtime);
JSValue defineCluster(Runtime& runtime);
JSValue defineRuntimeKeys(Runtime& runtime);
JSValue defineSecrets(Runtime& runtime);
JSValue defineSecret(Runtime& runtime);
JSValue defineSpan(Runtime& runtime);
JSValue defineChunk(Runtime& runtime);
JSValue definePairIterator(Runtime& runtime);
JSValue defineURL(Runtime& runtime);
JSValue defineURLSearchParams(Runtime& runtime);
JSValue defineAsyncLocalStorage(Runtime& runtime);
JSValue defineTextEncoder(Runtime& runtime);
JSValue defineTextDecoder(Runtime& runtime);
JSValue defineCounter(Runtime& runtime);
JSValue defineGauge(Runtime& runtime);
JSValue defineHistogram(Runtime& runtime);
JSValue defineCrypto(Runtime& runtime);
JSValue defineSubtleCrypto(Runtime& runtime);
JSValue defineCryptoKey(Runtime& runtime);
JSValue defineURLPattern(Runtime& runtime);
JSValue defineBlob(Runtime& runtime);
JSValue defineFile(Runtime& runtime);
JSValue defineFormData(Runtime& runtime);
JSValue defineBodyReader(Runtime& runtime);
JSValue defineBodySink(Runtime& runtime);
JSValue defineCodec(Runtime& runtime);

// Objects and functions of globalThis.
JSValue defineConsole(Runtime& runtime);
JSValue newCrypto(Runtime& runtime);
JSValue definePerformance(Runtime& runtime);
JSValue defineNavigator(Runtime& runtime);
JSValue defineSelf(Runtime& runtime);
bool defineFetchGlobals(Runtime& runtime, JSValueConst global);
bool defineTimerGlobals(Runtime& runtime, JSValueConst global);
bool defineScopeGlobals(Runtime& runtime, JSValueConst global);
bool defineCloneGlobals(Runtime& runtime, JSValueConst global);

// Exports of the module "fairlead": put the stem's functions into `exports`.
bool defineStreamExports(Runtime& runtime, JSValueConst exports);
bool defineTimerExports(Runtime& runtime, JSValueConst exports);
bool defineOnceExports(Runtime& runtime, JSValueConst exports);
bool defineSharedExports(Runtime& runtime, JSValueConst exports);
bool defineMetricExports(Runtime& runtime, JSValueConst exports);
bool defineJobExports(Runtime& runtime, JSValueConst exports);

// Exports of the module "fairlead:native", which only builtins can import.
std::span<const char* const> nativeNames();
bool defineNativeExports(Runtime& runtime, JSValueConst exports);

}  // namespace fairlead
