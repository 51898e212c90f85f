// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ReadableStreams for the core. They are made in TypeScript (builtins/streams.ts), on first use; what
// a script does to them is seen here as an exception at worst.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "filter-cc/bind.h"
#include "filter-cc/message.h"

namespace fairlead {

/** What takes the pieces of a stream. Owner: the functions that bring them. */
class BodySink : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::BodySink;

  /** Takes a piece; gives a promise of room for the next, undefined where there is, or an exception. */
  virtual js::Value write(JSContext* ctx, std::span<const uint8_t> piece) = 0;
  /** The last piece has come. */
  virtual void end(JSContext* ctx) = 0;
  /** No more will come. */
  virtual void fail(JSContext* ctx, JSValueConst reason) = 0;
};

/** Whether an object is one of those that are made in builtins/streams.ts. */
bool isStreamObject(Runtime& runtime, JSValueConst object);
/** Whether a value is a ReadableStream; the others are none because no script has made one yet. */
bool isStream(Runtime& runtime, JSValueConst value);
/** A ReadableStream of what a ReadableStream or an async iterable gives; undefined for others. */
js::Value streamOf(Runtime& runtime, JSValueConst value);

/** Requires of all below: a ReadableStream. */
struct StreamState {
  bool locked;
  /** Something has been read. */
  bool disturbed;
};
StreamState streamState(Runtime& runtime, JSValueConst stream);
/** What comes of a body piece by piece. */
js::Value streamOfBody(Runtime& runtime, std::shared_ptr<BodySource> source);
/** The same of a message that passes, which is held from the first read on. */
js::Value streamOfMessage(Runtime& runtime, uint64_t streamId, Direction direction);
/** The stream of a body that has been read. */
js::Value usedStream(Runtime& runtime);
/** Makes two streams of one, which is read. False: an exception is pending. */
bool teeStream(Runtime& runtime, JSValueConst stream, js::Value& one, js::Value& other);
/** The stream for another owner: the old one cannot be read any more. */
js::Value handOver(Runtime& runtime, JSValueConst stream);
/** Tells the source that nobody wants the stream. */
void discardStream(Runtime& runtime, JSValueConst stream);
/**
 * Brings a stream's pieces to a sink, as continuations of the stream whose code runs. Gives the
 * function that stops it with a reason; an exception when the stream is locked.
 */
js::Value pumpStream(Runtime& runtime, JSValueConst stream, std::unique_ptr<BodySink> sink);
/** Reads a stream to its end, at most `body_kb` of it. Null: an exception is pending. */
std::shared_ptr<BodySource> collectStream(const Call& call, JSValueConst stream);

}  // namespace fairlead
