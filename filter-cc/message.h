// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The C++ behind Request and Response objects: messages that a script made or fetched, and windows
// on the two messages that pass through Envoy.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/bind.h"
#include "filter-cc/headers.h"
#include "filter-cc/recycled.h"

namespace fairlead {

/** How a reader wants its body. */
enum class BodyForm : uint8_t { Text, Json, Bytes, ArrayBuffer, Blob, FormData };

/** Why a body will not come: what it takes to make the error again. */
struct Failure {
  ErrorCode code;
  std::string first;
  std::string second;
};

/**
 * The bytes of one body, which may still be on their way. Shared by a message and its clones.
 * Requires: gone before its engine. Readers that wait are settled by complete() or fail(), which need an open Entry.
 */
class BodySource {
public:
  enum class State : uint8_t { Open, Complete, Failed };

  // The bytes count against the engine's memory limit; where they find no room, they are dropped and
  // the entry ends with the fault.

  /** A body that is all there. */
  static std::shared_ptr<BodySource> of(const js::Runtime& engine, std::string bytes);
  /** A body that arrives, of a message or a fetch's answer: append, then complete or fail. */
  static std::shared_ptr<BodySource> open(const js::Runtime& engine, uint64_t streamId = 0,
                                          uint32_t fetchId = 0);
  explicit BodySource(const js::Runtime& engine) : charge_(engine) {}

  State state() const { return state_; }
  /** Whether it came, or comes, from an upstream. */
  bool isFetched() const { return fetchId_ != 0; }
  /** What is held: all, but for what a stream has read of it. */
  const std::string& bytes() const { return bytes_; }
  /** Several messages have this body: what one has read of it is held for the others. */
  void share() { shared_ = true; }

  void append(std::string_view bytes);
  /** All bytes are there; settles the readers. Requires: an open Entry where there are readers. */
  void complete();
  /** They will not come: readers reject with `reason`, later ones with an error like it. */
  void fail(JSValueConst reason, Failure failure);
  /** Drops the waiting readers unsettled: no script runs any more. Later ones get E_ABORTED. */
  void abandon();
  /** The same from a finalizer. */
  void abandon(JSRuntime* engine);
  void mark(JSRuntime* engine, JS_MarkFunc* markFunction);

  /** A promise of the body in that form; a Blob and a form depend on the content type. */
  js::Value read(const Call& call, BodyForm form, std::string contentType = {});

  /**
   * Bytes from `offset` on, which moves; null at the end; a promise that settles when there is more to
   * see; an exception when the body has failed.
   */
  js::Value next(JSContext* ctx, size_t& offset);
  /** Whether next() has given a promise. */
  bool isWaitedFor() const { return more_.isObject(); }
  /** Settles it. Requires: an open Entry. */
  void wake();
  /** Nobody wants the rest: its fetch is cancelled. */
  void cancel(Runtime& runtime, JSValueConst reason);

private:
  struct Reader {
    js::Value promise;
    BodyForm form;
    std::string contentType;
  };

  js::Charge charge_;
  State state_ = State::Open;
  bool shared_ = false;
  /** Of an answer: whose it is. */
  uint64_t streamId_ = 0;
  uint32_t fetchId_ = 0;
  std::string bytes_;
  Failure failure_;
  std::vector<Reader> readers_;
  js::Value more_;
};

/** A promise that is rejected with the pending exception. */
js::Value rejectedPromise(JSContext* ctx);

/** A message's hold on its body: clones share the source, each reads once. */
struct Body {
  std::shared_ptr<BodySource> source;
  bool used = false;
  /**
   * A ReadableStream that the script gave, or made of the source when it asked for one: from then on
   * the body is what that gives. Without either the message has no body.
   */
  js::Value stream;

  bool isAbsent() const { return source == nullptr && !stream.isObject(); }
};
/** Whether a body has been read, or a reader holds its stream. */
bool isBodyTaken(Runtime& runtime, const Body& body);

/** What `BodyInit` gives: bytes or a stream, and the content type that goes with it (empty: none). */
struct ExtractedBody {
  std::shared_ptr<BodySource> source;
  js::Value stream;
  /** Of most kinds of bodies: one of a few texts that are there for good. */
  std::string_view usualType;
  /** Of the others. */
  std::string ownType;
  std::string_view contentType() const { return ownType.empty() ? usualType : ownType; }
  /** Nobody can read the body who does not know its content type. */
  bool needsType = false;
};
/**
 * Fetch's "extract": string, bytes, ArrayBuffer, Blob, FormData, URLSearchParams, ReadableStream, async iterable.
 * False: an exception is pending.
 */
bool extractBody(const Call& call, JSValueConst init, ExtractedBody& out);

/** Fetch's method check and normalization. False: E_METHOD is pending. */
bool normalizeMethod(const Call& call, std::string_view method, std::string& out);
/** Whether a text is one word of an access log. */
bool isLogWord(std::string_view text);
inline constexpr size_t kMaxLogWordBytes = 128;
/** Whether bytes can stand in a request target: no blank, no control byte. */
bool isTarget(std::string_view text);

/**
 * A Request's data. A live one (with a stream) reads and writes Envoy's request headers.
 * Owner: the script object, or the Stream for a live one.
 */
class RequestData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Request;
  static constexpr const char* kName = "Request";

  RequestData() = default;
  explicit RequestData(Stream& stream) : stream(&stream) {}
  void mark(JSRuntime* runtime, JS_MarkFunc* markFunction) override;
  void finalize(JSRuntime* engine) override;

  Stream* stream = nullptr;
  // Of a live request these three are empty.
  std::string method;
  std::string url;
  std::string redirect;
  /** The Headers object, made on first use. */
  js::Value headers;
  /** What it will be made around, when it is not a live one. */
  std::unique_ptr<HeadersData> ownHeaders;
  /** An AbortSignal, or undefined until somebody asks. */
  js::Value signal;
  Body body;
};

/**
 * A Response's data. A live one (with a stream) reads and writes Envoy's response headers.
 * Owner: the script object, or the Stream for a live one.
 */
class ResponseData final : public NativeData, public Recycled<ResponseData> {
public:
  static constexpr HostClass kClass = HostClass::Response;
  static constexpr const char* kName = "Response";

  ResponseData() = default;
  explicit ResponseData(Stream& stream) : stream(&stream) {}
  void mark(JSRuntime* runtime, JS_MarkFunc* markFunction) override;
  void finalize(JSRuntime* engine) override;

  Stream* stream = nullptr;
  uint32_t status = 200;
  std::string statusText;
  /** What access logs show of a reply; empty: nothing of its own. */
  std::string details;
  std::string url;
  /** `default`, `basic` or `error`. */
  const char* type = "default";
  bool redirected = false;
  /** The Headers object, made on first use. */
  js::Value headers;
  /** What it will be made around, when it is not a live one. */
  std::unique_ptr<HeadersData> ownHeaders;
  /** The content type of its body as long as neither of them is made; there for good. */
  std::string_view usualType;
  /** Of a fetched answer: what the call fills when its trailers come. */
  std::shared_ptr<HeaderList> trailers;
  Body body;
};

/**
 * What `new Request(input, init)` does, for the constructor and for fetch. Takes over the body of a
 * Request given as input. False: an exception is pending.
 */
bool buildRequest(const Call& call, JSValueConst input, JSValueConst init, RequestData& request);

/** The URL of a request as a script sees it; `http://authority/` for CONNECT. */
std::string urlOf(const RequestData& request);
/** The headers of a message; null with an exception pending when memory runs out. */
HeadersData* headersOf(Runtime& runtime, RequestData& request);
HeadersData* headersOf(Runtime& runtime, ResponseData& response);

/** The Headers object of a message; an exception when memory runs out. */
js::Value headersObject(Runtime& runtime, RequestData& request);
js::Value headersObject(Runtime& runtime, ResponseData& response);
/** The method as a script sees it. */
std::string methodOf(const RequestData& request);
uint32_t statusOf(const ResponseData& response);

/** A Response object around `data`. Owner: the object. */
js::Value newResponse(Runtime& runtime, std::unique_ptr<ResponseData> data);

}  // namespace fairlead
