// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a stream's script does with the body and the trailers of one of its two messages.
//
// The bytes are Envoy's as long as can be. A read of the whole body takes them out as they come and
// puts them back when the header hook has settled; a chunk hook looks at them where they are:
//
//   Envoy's buffer:  │ passed: done with │ chunkBytes: with the hook │ what has come since │
//
// so that a sender is stopped by Envoy's own watermarks however long a hook takes.

#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "filter-cc/bind.h"
#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/message.h"

namespace fairlead {

struct BodyRun;

/** Behind the first argument of a chunk hook, while the hook runs. Owner: the BodyRun. */
class ChunkData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Chunk;
  static constexpr const char* kName = "Chunk";
  ChunkData(Stream& stream, Direction direction, BodyRun& body)
      : stream(stream), direction(direction), body(body) {}
  void mark(JSRuntime* runtime, JS_MarkFunc* markFunction) override {
    JS_MarkValue(runtime, data.get(), markFunction);
  }
  void finalize(JSRuntime*) override {}

  Stream& stream;
  const Direction direction;
  BodyRun& body;
  bool last = false;
  // Made when the script first asks.
  js::Value data;
  std::optional<std::string> text;
};

/** Owner: the stream, which makes it when a script first has to do with the body. */
struct BodyRun {
  BodyRun(Stream& stream, Direction direction) : chunk(stream, direction, *this) {}
  BodyRun(const BodyRun&) = delete;
  BodyRun& operator=(const BodyRun&) = delete;

  /** A read of the whole body, with what has been taken out of Envoy for it. */
  std::shared_ptr<BodySource> source;
  /** What comes in the place of the body. */
  std::shared_ptr<BodySource> replacement;
  /** The script gave the response a status that has no body. */
  bool isNull = false;
  /** The body is larger than body_kb, and the script was told. */
  bool tooLarge = false;
  /** What the header hook left has been brought into Envoy. */
  bool begun = false;
  /**
   * Another body is in the place of what still comes, and waits for its end: a receiver that answered
   * before would have the sender cut off.
   */
  bool dropsRest = false;

  bool skipsChunks = false;
  /** The last chunk has been shown. */
  bool chunksDone = false;
  /** A hook has changed bytes: the body cannot go on as it came. */
  bool changed = false;
  /** Where the bytes of the chunk are. */
  BodyPart part = BodyPart::Received;
  size_t passed = 0;
  size_t chunkBytes = 0;
  ChunkData chunk;
  js::Value chunkObject;
  /** The begin of a character at the end of the chunk before, for text(). */
  std::string cut;

  bool trailersDone = false;
  std::optional<HeadersData> trailers;
  js::Value trailersObject;

  /** A read waits for the rest. */
  bool isRead() const { return source != nullptr && source->state() == BodySource::State::Open; }
};

}  // namespace fairlead
