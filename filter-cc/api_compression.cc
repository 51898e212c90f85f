// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The core's side of the Compression standard (https://compression.spec.whatwg.org): one piece of output
// at a time, so that limits are looked at in between; see builtins/compression.ts.

#include "filter-cc/compression.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "filter-cc/runtime.h"
#include "filter-cc/world.h"
#include "zlib.h"

namespace fairlead {
namespace {

/** How much comes of one call. */
constexpr size_t kPieceBytes = size_t{32} * 1024;
/** How much zlib takes in, at most, between two looks at the clock. */
constexpr size_t kMostInputBytes = size_t{256} * 1024;

/** zlib's windowBits of a format. */
std::optional<int> windowBitsOf(std::string_view format) {
  constexpr int kWithGzipHeader = 16;
  if (format == "deflate")
    return MAX_WBITS;
  if (format == "deflate-raw")
    return -MAX_WBITS;
  if (format == "gzip")
    return MAX_WBITS + kWithGzipHeader;
  return std::nullopt;
}

/** What packs, or unpacks. Owner: the object that builtins/compression.ts holds. */
class Codec final : public NativeData {
public:
  Codec(JSRuntime* engine, bool unpacks) : unpacks_(unpacks) {
    zlib_.opaque = engine;
    zlib_.zalloc = [](void* opaque, unsigned count, unsigned size) {
      return js_malloc_rt(static_cast<JSRuntime*>(opaque), size_t{count} * size);
    };
    zlib_.zfree = [](void* opaque, void* memory) {
      js_free_rt(static_cast<JSRuntime*>(opaque), memory);
    };
  }
  ~Codec() override { unpacks_ ? inflateEnd(&zlib_) : deflateEnd(&zlib_); }
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  /** False: there is no memory for it. */
  bool begin(int windowBits) {
    constexpr int kMemoryLevel = 8;
    return (unpacks_ ? inflateInit2(&zlib_, windowBits)
                     : deflateInit2(&zlib_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, windowBits,
                                    kMemoryLevel, Z_DEFAULT_STRATEGY)) == Z_OK;
  }

  /** The next piece of what a chunk, or the end, becomes; null when there is none. */
  JSValue run(Runtime& runtime, std::span<const uint8_t> chunk, bool isEnd) {
    JSContext* ctx = runtime.ctx();
    if (unpacks_ && isEnd && !ended_)
      return fail(ctx, "the data ends too early");
    std::array<uint8_t, kPieceBytes> piece;
    zlib_.next_out = piece.data();
    zlib_.avail_out = kPieceBytes;
    do {
      // Nothing else looks at the clock while zlib works. A script that is stopped learns of it when it runs on.
      if (js::Entry* entry = runtime.engine().entry(); entry != nullptr && !entry->mayGoOn())
        return JS_NULL;
      // A script may have shrunk the chunk since the last piece.
      const std::span<const uint8_t> rest = chunk.subspan(std::min(taken_, chunk.size()));
      const auto given = static_cast<unsigned>(std::min(rest.size(), kMostInputBytes));
      zlib_.next_in = const_cast<uint8_t*>(rest.data());
      zlib_.avail_in = given;
      const int result = ended_     ? Z_STREAM_END
                         : unpacks_ ? inflate(&zlib_, Z_NO_FLUSH)
                                    : deflate(&zlib_, isEnd ? Z_FINISH : Z_NO_FLUSH);
      taken_ += given - zlib_.avail_in;
      ended_ = result == Z_STREAM_END;
      if (result == Z_MEM_ERROR)
        return JS_ThrowOutOfMemory(ctx);
      // Z_BUF_ERROR: there was nothing to do.
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return fail(ctx, "the data is not of this format, or damaged");
    } while (zlib_.avail_out == kPieceBytes && taken_ < chunk.size() && !ended_);
    if (zlib_.avail_out != kPieceBytes)
      return JS_NewUint8ArrayCopy(ctx, piece.data(), kPieceBytes - zlib_.avail_out);
    if (taken_ < chunk.size())
      return fail(ctx, "there is something behind the end of the data");
    taken_ = 0;
    return JS_NULL;
  }

  JSValue fail(JSContext* ctx, const char* what) const {
    return throwError(ctx, ErrorCode::E_COMPRESSION,
                      {unpacks_ ? "DecompressionStream" : "CompressionStream", what});
  }

private:
  z_stream zlib_{};
  const bool unpacks_;
  /** How much of the chunk has been taken in. */
  size_t taken_ = 0;
  bool ended_ = false;
};

JSValue newCodec(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "newCodec", [&]() -> JSValue {
    Runtime& runtime = Runtime::from(ctx);
    const js::Utf8 format(ctx, argv[0]);
    if (!format)
      return JS_EXCEPTION;
    const std::optional<int> windowBits = windowBitsOf(format.view());
    if (!windowBits)
      return JS_UNDEFINED;
    auto codec = std::make_unique<Codec>(JS_GetRuntime(ctx), JS_ToBool(ctx, argv[1]) > 0);
    if (!codec->begin(*windowBits))
      return JS_ThrowOutOfMemory(ctx);
    return bind::wrap(runtime, HostClass::Codec, codec.release()).release();
  });
}

JSValue runCodec(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv) {
  return bind::barrier(ctx, "runCodec", [&]() -> JSValue {
    Runtime& runtime = Runtime::from(ctx);
    // No script can reach these objects, so there is nothing else behind them.
    auto& codec = *static_cast<Codec*>(bind::tryUnwrap(runtime, argv[0], HostClass::Codec));
    const bool isEnd = argc < 2 || JS_IsUndefined(argv[1]);
    std::span<uint8_t> chunk;
    if (!isEnd && js::bytesOf(argv[1], chunk) != js::BytesState::Found)
      return codec.fail(ctx, "a chunk must be an ArrayBuffer or a view of one");
    return codec.run(runtime, chunk, isEnd);
  });
}

constexpr JSCFunctionListEntry kNatives[] = {
    bind::functionEntry("newCodec", 2, newCodec),
    bind::functionEntry("runCodec", 1, runCodec),
};

}  // namespace

JSValue defineCodec(Runtime& runtime) { return bind::defineHidden(runtime, HostClass::Codec); }

bool defineCompressionNatives(Runtime& runtime, JSValueConst exports) {
  return JS_SetPropertyFunctionList(runtime.ctx(), exports, kNatives, std::size(kNatives)) == 0;
}

}  // namespace fairlead
