// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Blob, File and FormData for bodies: what the two encodings of forms are made of and become.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "filter-cc/bind.h"
#include "quickjs/engine.h"

namespace fairlead {

/** Bytes that blobs share; they count against the engine's memory limit. */
class BlobBytes {
public:
  /** Null: there is no room for them, and the runtime is out of memory for good. */
  static std::shared_ptr<const BlobBytes> of(const js::Runtime& engine, std::string bytes);
  explicit BlobBytes(const js::Runtime& engine) : charge_(engine) {}

  std::string_view view() const { return bytes_; }

private:
  js::Charge charge_;
  std::string bytes_;
};

/** Behind a Blob, or a File, which is one with a name. Owner: the script object. */
class BlobData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Blob;
  static constexpr const char* kName = "Blob";

  std::string_view view() const { return bytes->view().substr(offset, size); }

  /** Never null. A slice shares them. */
  std::shared_ptr<const BlobBytes> bytes;
  size_t offset = 0;
  size_t size = 0;
  std::string type;
  bool isFile = false;
  std::string name;
  double lastModified = 0;
};

/** Null for what is no Blob and no File. */
BlobData* blobOf(Runtime& runtime, JSValueConst value);
/** A Blob or a File with the same bytes. Requires: it is one. An exception when memory runs out. */
js::Value cloneBlob(Runtime& runtime, JSValueConst value);
/** A Blob of bytes; an exception when memory runs out. */
js::Value newBlob(Runtime& runtime, std::string_view bytes, std::string_view type);

/** How many entries a FormData has; nothing for any other value. */
std::optional<size_t> formEntryCount(Runtime& runtime, JSValueConst value);
/** These entries, as PairAt. */
bool formEntryAt(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                 js::Value& value);
/** A FormData as `multipart/form-data`, and the content type with its boundary. False: it is no FormData. */
bool formText(Runtime& runtime, JSValueConst value, std::string& body, std::string& contentType);
/** A FormData of a body with that content type; an exception for what is no form. */
js::Value parseForm(JSContext* ctx, std::string_view body, std::string_view contentType);

}  // namespace fairlead
