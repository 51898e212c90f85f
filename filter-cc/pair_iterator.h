// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The iterators of pair iterables (Headers, URLSearchParams), as Web IDL has them.

#pragma once

#include "filter-cc/bind.h"

namespace fairlead {

/** What an iterator gives at each step. */
enum class PairPart : uint8_t { Key, Value, Both };

/**
 * Puts pair number `index` of `iterable` into key and value; false when there is none.
 * Called at each step, so changes made meanwhile are seen.
 */
using PairAt = bool (*)(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                        js::Value& value);

/** An iterator over `iterable`; `name` is its toStringTag (`Headers Iterator`). */
js::Value newPairIterator(Runtime& runtime, JSValueConst iterable, PairPart part, PairAt at,
                          const char* name);

/** Web IDL's forEach: callback(value, key, iterable) with `thisArg`. False: it threw. */
bool forEachPair(JSContext* ctx, JSValueConst iterable, PairAt at, JSValueConst callback,
                 JSValueConst thisArg);

/** The members of an iterable class: `Self` is behind its objects, `Iterator` is the iterators' toStringTag. */
template <class Self, PairAt At, bind::Name Iterator> struct PairMembers {
  static Outcome<void> forEach(Call& call, Self&, JSValueConst callback, JSValueConst thisArg) {
    if (!forEachPair(call.ctx, call.receiver, At, callback, thisArg))
      return Thrown{};
    return {};
  }
  template <PairPart Part> static Outcome<JSValue> iterator(Call& call, Self&) {
    return newPairIterator(call.runtime, call.receiver, Part, At, Iterator.chars);
  }
  static constexpr auto* keys = iterator<PairPart::Key>;
  static constexpr auto* values = iterator<PairPart::Value>;
  static constexpr auto* entries = iterator<PairPart::Both>;
};

}  // namespace fairlead
