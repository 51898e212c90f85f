// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Conversions of Web IDL that take more than one value: pairs out of an iterable or a record.

#pragma once

#include <functional>

#include "filter-cc/bind.h"

namespace fairlead {

/** False: an exception is pending. */
using PairVisitor = std::function<bool(JSValueConst key, JSValueConst value)>;

/**
 * `(sequence<sequence<T>> or record<T, T>)`: visits the pairs of an iterable of two-element
 * iterables, or else the own enumerable properties of an object. A symbol among these is visited
 * too: it is for the visitor's conversion to refuse it.
 * `what` describes what was expected (for E_ARGUMENT). `isRecord`, if given, is set before the
 * first visit. False: an exception is pending.
 */
bool forEachInitPair(const Call& call, JSValueConst init, const char* what,
                     const PairVisitor& visit, bool* isRecord = nullptr);

}  // namespace fairlead
