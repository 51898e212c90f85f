// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The C++ behind a Headers object: a list of its own, or a window on one of Envoy's header maps.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filter-cc/bind.h"
#include "filter-cc/host.h"

namespace fairlead {

/** Whether `name` is a field name of RFC 9110 (a token). */
bool isHeaderName(std::string_view name);
/** Whether `value` is free of CR, LF and NUL. */
bool isHeaderValue(std::string_view value);
/** Whether a header frames a message: its length, its transfer, its connection. Any letter case. */
bool isFramingHeader(std::string_view name);
/** Whether a header is for one hop only, framing headers among them. Any letter case. */
bool isHopHeader(std::string_view name);
/** Without the blanks and tabs around it, as Fetch normalizes a value. */
std::string_view trimHeaderValue(std::string_view value);
/** ASCII only. */
std::string lowerCase(std::string_view text);

/** Names and values in order, names in lower case. */
using HeaderList = std::vector<std::pair<std::string, std::string>>;

/**
 * A Headers object's data. A live one (with a stream) reads and writes Envoy's map and never shows
 * the `:` names; another one keeps a list.
 * Owner: the script object, or the Stream for a live one.
 */
class HeadersData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Headers;
  static constexpr const char* kName = "Headers";

  /** An empty list; `immutable` refuses writes (the answer of a fetch, Response.error()). */
  explicit HeadersData(bool immutable = false) : immutable_(immutable) {}
  /** A window on a map of `stream`. Owner: the stream. */
  HeadersData(Stream& stream, HeaderMap map) : stream_(&stream), map_(map) {}

  void finalize(JSRuntime* engine) override;

  bool isLive() const { return stream_ != nullptr; }
  /** The lines as they are, without `:` names. Costs one host call on a live map. */
  HeaderList lines() const;
  /** The same without a copy. Requires: not live. */
  const HeaderList& list() const { return list_; }
  /** Fetch's "sort and combine": names in order, values joined with ", ", each cookie by itself. */
  HeaderList sortedAndCombined() const;

  /** Values joined with ", "; nothing when there is none. Valid until: the next write or host call. */
  std::optional<std::string_view> get(const Call& call, std::string_view name) const;
  bool has(std::string_view name) const;
  std::vector<std::string> getSetCookie() const;

  // The writers check name, value, phase and limits, and are false with an exception pending.
  bool set(const Call& call, std::string_view name, std::string_view value);
  bool append(const Call& call, std::string_view name, std::string_view value);
  bool remove(const Call& call, std::string_view name);
  /** Fetch's "fill": from a record, an iterable of pairs, or a Headers object. */
  bool fill(const Call& call, JSValueConst init);
  /** Appends without checks. Requires: not live; a good name in lower case, a good value. */
  void add(const js::Runtime& engine, std::string_view name, std::string_view value);
  /** Replaces the list. Requires: not live; names in lower case. */
  void assign(const js::Runtime& engine, HeaderList lines);
  /** From now on writes are refused. */
  void freeze() { immutable_ = true; }

  /** sortedAndCombined() as an iteration sees it: made anew at its begin and after each write. */
  const HeaderList& iterated(size_t index);

private:
  // What get() needs a string of its own for, apart from what is quick.
  [[gnu::noinline]] std::string_view join(const Call& call, std::string_view wire,
                                          const HeaderLookup& first) const;
  [[gnu::noinline]] std::optional<std::string_view> getListed(const Call& call, std::string_view name) const;
  void recount(const js::Runtime& engine);
  /** Counts the list against the engine's memory limit; without room it is dropped. */
  void charge(const js::Runtime& engine, size_t bytes);
  bool checkWrite(const Call& call, std::string_view name, const std::string_view* value);

  Stream* stream_ = nullptr;
  HeaderMap map_ = HeaderMap::Request;
  bool immutable_ = false;
  uint64_t version_ = 0;
  HeaderList list_;
  std::optional<js::Charge> charge_;
  size_t bytes_ = 0;
  HeaderList iterated_;
  uint64_t iteratedVersion_ = 0;
};

/** A new Headers object around `data`. Owner: the object. */
js::Value newHeaders(Runtime& runtime, HeadersData* data);

}  // namespace fairlead
