// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Blob and File (https://w3c.github.io/FileAPI/), FormData (https://xhr.spec.whatwg.org/#interface-formdata)
// and the encodings of forms (https://html.spec.whatwg.org/#multipart-form-data, RFC 7578, RFC 8187).

#include "filter-cc/forms.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "ada.h"
#include "filter-cc/encoding.h"
#include "filter-cc/headers.h"
#include "filter-cc/message.h"
#include "filter-cc/pair_iterator.h"
#include "filter-cc/runtime.h"
#include "filter-cc/streams.h"
#include "filter-cc/web_idl.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

// A form that comes from elsewhere. Each part costs more than its bytes, so there are bounds.
constexpr size_t kMaxParts = 1000;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxPartHeaderBytes = size_t{8} * 1024;
constexpr size_t kMaxBoundaryBytes = 70;

/** What a pair costs beside its bytes. */
constexpr size_t kEntryBytes = 128;

/** Of a Blob: lower case, or nothing where it has other characters than printable ASCII. */
std::string blobType(std::string_view type) {
  const bool isPrintable =
      std::all_of(type.begin(), type.end(), [](char c) { return c >= 0x20 && c <= 0x7E; });
  return isPrintable ? lowerCase(type) : std::string();
}

js::Value wrapFile(Runtime& runtime, std::unique_ptr<BlobData> data) {
  JSContext* ctx = runtime.ctx();
  if (!runtime.ensureClass(HostClass::File))
    return {ctx, JS_EXCEPTION};
  const js::Value prototype(ctx, JS_GetClassProto(ctx, runtime.classId(HostClass::File)));
  js::Value file(ctx,
                 JS_NewObjectProtoClass(ctx, prototype.get(), runtime.classId(HostClass::Blob)));
  if (!file.isException())
    JS_SetOpaque(file.get(), data.release());
  return file;
}

double nowMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

// --- Blob ---

/** Web IDL's `sequence<BlobPart>` and what it joins to. False: an exception is pending. */
bool joinParts(const Call& call, JSValueConst parts, bool nativeEndings, std::string& all) {
  js::Charge charge(call.runtime.engine());
  const auto add = [&](std::string_view bytes) {
    if (!charge.set(all.size() + bytes.size())) {
      JS_ThrowOutOfMemory(call.ctx);
      return false;
    }
    all += bytes;
    return true;
  };
  const auto visit = [&](JSValueConst part) {
    if (const BlobData* blob = blobOf(call.runtime, part))
      return add(blob->view());
    std::span<uint8_t> bytes;
    switch (js::bytesOf(part, bytes)) {
    case js::BytesState::Found:
      return add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    case js::BytesState::Lost:
      bind::throwArgument(call, 0, "a list of buffers that are not detached");
      return false;
    case js::BytesState::NotBytes:
      break;
    }
    const js::Utf8 text(call.ctx, part);
    if (!text)
      return false;
    if (!nativeEndings)
      return add(text.view());
    std::string converted;
    const std::string_view view = text.view();
    for (size_t i = 0; i < view.size(); ++i) {
      if (view[i] == '\r') {
        converted += '\n';
        i += i + 1 < view.size() && view[i + 1] == '\n' ? 1 : 0;
      } else {
        converted += view[i];
      }
    }
    return add(converted);
  };
  constexpr const char* kWhat = "an iterable of bytes, Blobs and strings";
  if (!JS_IsObject(parts)) {
    bind::throwArgument(call, 0, kWhat);
    return false;
  }
  switch (js::iterate(call.ctx, parts, visit)) {
  case js::Iteration::Done:
    return true;
  case js::Iteration::NotIterable:
    bind::throwArgument(call, 0, kWhat);
    return false;
  case js::Iteration::Thrown:
    return false;
  }
  return false;
}

/** A member of a dictionary as text; nothing where it is absent. False: an exception is pending. */
bool readText(JSContext* ctx, JSValueConst dictionary, const char* name,
              std::optional<std::string>& text) {
  if (!JS_IsObject(dictionary))
    return true;
  const js::Value member(ctx, JS_GetPropertyStr(ctx, dictionary, name));
  if (member.isException() || member.isUndefined())
    return !member.isException();
  const js::Utf8 utf8(ctx, member.get());
  if (utf8)
    text = utf8.view();
  return static_cast<bool>(utf8);
}

/** What the constructors of Blob and File have in common. False: an exception is pending. */
bool fillBlob(const Call& call, JSValueConst parts, JSValueConst options, size_t optionsIndex,
              BlobData& data) {
  if (!JS_IsObject(options) && !JS_IsUndefined(options) && !JS_IsNull(options)) {
    bind::throwArgument(call, optionsIndex, "an object");
    return false;
  }
  std::optional<std::string> endings;
  std::optional<std::string> type;
  if (!readText(call.ctx, options, "endings", endings) || !readText(call.ctx, options, "type", type))
    return false;
  if (endings && *endings != "transparent" && *endings != "native") {
    call.fail(ErrorCode::E_OPTION, {"endings", "transparent or native"});
    return false;
  }
  std::string all;
  if (!JS_IsUndefined(parts) && !joinParts(call, parts, endings == "native", all))
    return false;
  data.size = all.size();
  data.bytes = BlobBytes::of(call.runtime.engine(), std::move(all));
  data.type = blobType(type.value_or(""));
  if (data.bytes == nullptr)
    JS_ThrowOutOfMemory(call.ctx);
  return data.bytes != nullptr;
}

using Blob_Self = BlobData;

Outcome<JSValue> Blob_new(Call& call, JSValueConst parts, JSValueConst options) {
  auto data = std::make_unique<BlobData>();
  if (!fillBlob(call, parts, options, 1, *data))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::Blob, data.release(), call.receiver);
}

Outcome<double> Blob_size(Call&, BlobData& self) { return static_cast<double>(self.size); }
Outcome<std::string_view> Blob_type(Call&, BlobData& self) { return std::string_view(self.type); }

/** A place in a blob of `size` bytes, counted from the end where it is negative. */
size_t placeIn(size_t size, std::optional<double> given, size_t absent) {
  if (!given)
    return absent;
  // Web IDL's [Clamp] long long.
  const double place = std::isnan(*given) ? 0 : std::nearbyint(*given);
  const auto whole = static_cast<double>(size);
  return static_cast<size_t>(std::clamp(place < 0 ? whole + place : place, 0.0, whole));
}

Outcome<JSValue> Blob_slice(Call& call, BlobData& self, std::optional<double> start,
                            std::optional<double> end, std::optional<std::string_view> type) {
  const size_t from = placeIn(self.size, start, 0);
  const size_t to = std::max(from, placeIn(self.size, end, self.size));
  auto data = std::make_unique<BlobData>();
  data->bytes = self.bytes;
  data->offset = self.offset + from;
  data->size = to - from;
  data->type = blobType(type.value_or(""));
  return bind::wrap(call.runtime, HostClass::Blob, data.release());
}

Outcome<JSValue> readBlob(Call& call, const BlobData& self, BodyForm form) {
  return BodySource::of(call.runtime.engine(), std::string(self.view()))->read(call, form);
}

Outcome<JSValue> Blob_text(Call& call, BlobData& self) {
  return readBlob(call, self, BodyForm::Text);
}
Outcome<JSValue> Blob_bytes(Call& call, BlobData& self) {
  return readBlob(call, self, BodyForm::Bytes);
}
Outcome<JSValue> Blob_arrayBuffer(Call& call, BlobData& self) {
  return readBlob(call, self, BodyForm::ArrayBuffer);
}

Outcome<JSValue> Blob_stream(Call& call, BlobData& self) {
  return streamOfBody(call.runtime,
                      BodySource::of(call.runtime.engine(), std::string(self.view())));
}

// --- File ---

using File_Self = BlobData;

Outcome<JSValue> File_new(Call& call, JSValueConst parts, std::string_view name,
                          JSValueConst options) {
  auto data = std::make_unique<BlobData>();
  data->isFile = true;
  data->name = name;
  if (!JS_IsObject(parts)) {
    bind::throwArgument(call, 0, "an iterable of bytes, Blobs and strings");
    return Thrown{};
  }
  if (!fillBlob(call, parts, options, 2, *data))
    return Thrown{};
  js::Value modified;
  if (JS_IsObject(options))
    modified = js::Value(call.ctx, JS_GetPropertyStr(call.ctx, options, "lastModified"));
  int64_t ms = 0;
  if (modified.isException() ||
      (!modified.isUndefined() && JS_ToInt64(call.ctx, &ms, modified.get()) < 0))
    return Thrown{};
  data->lastModified = modified.isUndefined() ? nowMs() : static_cast<double>(ms);
  return bind::wrap(call.runtime, HostClass::Blob, data.release(), call.receiver);
}

Outcome<std::string_view> File_name(Call& call, BlobData& self) {
  if (!self.isFile)
    return call.fail(ErrorCode::E_ILLEGAL_INVOCATION, {"File"});
  return std::string_view(self.name);
}

Outcome<double> File_lastModified(Call& call, BlobData& self) {
  if (!self.isFile)
    return call.fail(ErrorCode::E_ILLEGAL_INVOCATION, {"File"});
  return self.lastModified;
}

// --- FormData ---

/** A name with a text, or with a File. */
struct FormEntry {
  std::string name;
  std::string text;
  js::Value file;
};

/** Behind a FormData. Owner: the script object. */
class FormDataData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::FormData;
  static constexpr const char* kName = "FormData";

  explicit FormDataData(Runtime& runtime) : charge_(runtime.engine()) {}
  void mark(JSRuntime* runtime, JS_MarkFunc* markFunction) override {
    for (const FormEntry& entry : entries)
      JS_MarkValue(runtime, entry.file.get(), markFunction);
  }
  void finalize(JSRuntime* engine) override {
    for (FormEntry& entry : entries)
      JS_FreeValueRT(engine, entry.file.release());
    delete this;
  }

  /** To be called after each change. False: no memory, an exception is pending. */
  bool changed(JSContext* ctx) {
    size_t bytes = 0;
    for (const FormEntry& entry : entries)
      bytes += kEntryBytes + entry.name.size() + entry.text.size();
    return charged(ctx, bytes);
  }
  /** The same for one more, which is cheaper. */
  bool append(JSContext* ctx, FormEntry entry) {
    const size_t bytes = kEntryBytes + entry.name.size() + entry.text.size();
    if (!charged(ctx, charge_.bytes() + bytes))
      return false;
    entries.push_back(std::move(entry));
    return true;
  }

  std::vector<FormEntry> entries;

private:
  bool charged(JSContext* ctx, size_t bytes) {
    if (charge_.set(bytes))
      return true;
    JS_ThrowOutOfMemory(ctx);
    return false;
  }

  js::Charge charge_;
};

using FormData_Self = FormDataData;

/** The standard's "create an entry". False: an exception is pending. */
bool createEntry(const Call& call, std::string_view name, JSValueConst value,
                 std::optional<std::string_view> filename, FormEntry& entry) {
  entry.name = name;
  const BlobData* blob = blobOf(call.runtime, value);
  if (blob == nullptr && filename) {
    bind::throwArgument(call, 1, "a Blob, as there is a file name");
    return false;
  }
  if (blob == nullptr) {
    const js::Utf8 text(call.ctx, value);
    if (text)
      entry.text = text.view();
    return static_cast<bool>(text);
  }
  if (blob->isFile && !filename) {
    entry.file = js::Value::dup(call.ctx, value);
    return true;
  }
  auto file = std::make_unique<BlobData>();
  file->bytes = blob->bytes;
  file->offset = blob->offset;
  file->size = blob->size;
  file->type = blob->type;
  file->isFile = true;
  file->name = filename.value_or("blob");
  file->lastModified = blob->isFile ? blob->lastModified : nowMs();
  entry.file = wrapFile(call.runtime, std::move(file));
  return !entry.file.isException();
}

js::Value valueOf(JSContext* ctx, const FormEntry& entry) {
  return entry.file.isObject() ? entry.file.dup() : js::newUtf8(ctx, entry.text);
}

Outcome<JSValue> FormData_new(Call& call, JSValueConst form) {
  if (!JS_IsUndefined(form)) {
    bind::throwArgument(call, 0, "absent: there are no elements of HTML here");
    return Thrown{};
  }
  return bind::wrap(call.runtime, HostClass::FormData, new FormDataData(call.runtime),
                    call.receiver);
}

Outcome<void> FormData_append(Call& call, FormDataData& self, std::string_view name,
                              JSValueConst value, std::optional<std::string_view> filename) {
  FormEntry entry;
  if (!createEntry(call, name, value, filename, entry) || !self.append(call.ctx, std::move(entry)))
    return Thrown{};
  return {};
}

Outcome<void> FormData_delete(Call& call, FormDataData& self, std::string_view name) {
  std::erase_if(self.entries, [&](const FormEntry& entry) { return entry.name == name; });
  if (!self.changed(call.ctx))
    return Thrown{};
  return {};
}

Outcome<JSValue> FormData_get(Call& call, FormDataData& self, std::string_view name) {
  for (const FormEntry& entry : self.entries) {
    if (entry.name == name)
      return valueOf(call.ctx, entry);
  }
  return JS_NULL;
}

Outcome<JSValue> FormData_getAll(Call& call, FormDataData& self, std::string_view name) {
  js::Value array(call.ctx, JS_NewArray(call.ctx));
  uint32_t index = 0;
  for (const FormEntry& entry : self.entries) {
    if (entry.name != name)
      continue;
    js::Value value = valueOf(call.ctx, entry);
    if (array.isException() || value.isException() ||
        JS_DefinePropertyValueUint32(call.ctx, array.get(), index++, value.release(),
                                     JS_PROP_C_W_E) < 0)
      return Thrown{};
  }
  return array;
}

Outcome<bool> FormData_has(Call&, FormDataData& self, std::string_view name) {
  return std::any_of(self.entries.begin(), self.entries.end(),
                     [&](const FormEntry& entry) { return entry.name == name; });
}

Outcome<void> FormData_set(Call& call, FormDataData& self, std::string_view name,
                           JSValueConst value, std::optional<std::string_view> filename) {
  FormEntry made;
  if (!createEntry(call, name, value, filename, made))
    return Thrown{};
  const auto isNamed = [&](const FormEntry& entry) { return entry.name == made.name; };
  const auto first = std::find_if(self.entries.begin(), self.entries.end(), isNamed);
  if (first == self.entries.end()) {
    if (!self.append(call.ctx, std::move(made)))
      return Thrown{};
    return {};
  }
  self.entries.erase(std::remove_if(first + 1, self.entries.end(), isNamed), self.entries.end());
  *first = std::move(made);
  if (!self.changed(call.ctx))
    return Thrown{};
  return {};
}

using Pairs = PairMembers<FormDataData, formEntryAt, "FormData Iterator">;
constexpr auto* FormData_forEach = Pairs::forEach;
constexpr auto* FormData_keys = Pairs::keys;
constexpr auto* FormData_values = Pairs::values;
constexpr auto* FormData_entries = Pairs::entries;

#define HOST_forms
#include "filter-cc/bind_rows.h"

// --- From a form to bytes ---

/** A name as it stands between quotes. */
std::string quotable(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '\n')
      out += "%0A";
    else if (c == '\r')
      out += "%0D";
    else if (c == '"')
      out += "%22";
    else
      out += c;
  }
  return out;
}

/** With CR LF for each line end. */
std::string withCrLf(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' && text[i] != '\n') {
      out += text[i];
      continue;
    }
    out += "\r\n";
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n')
      ++i;
  }
  return out;
}

// --- From bytes to a form ---

/** A header's value up to its parameters, and these: `name=value`, `name="value"`, names in lower case. */
struct Parameters {
  std::string essence;
  HeaderList list;

  const std::string* find(std::string_view name) const {
    const auto found = std::find_if(list.begin(), list.end(),
                                    [&](const auto& parameter) { return parameter.first == name; });
    return found == list.end() ? nullptr : &found->second;
  }
};

/** Nothing where a parameter is none. */
std::optional<Parameters> parametersOf(std::string_view value) {
  Parameters out;
  size_t at = std::min(value.find(';'), value.size());
  out.essence = lowerCase(trimHeaderValue(value.substr(0, at)));
  const auto skipBlanks = [&] {
    while (at < value.size() && (value[at] == ' ' || value[at] == '\t'))
      ++at;
  };
  while (at < value.size()) {
    ++at;  // the semicolon
    skipBlanks();
    if (at == value.size())
      break;
    const size_t equals = value.find('=', at);
    if (equals == std::string_view::npos)
      return std::nullopt;
    const std::string name = lowerCase(trimHeaderValue(value.substr(at, equals - at)));
    if (!isHeaderName(name))
      return std::nullopt;
    at = equals + 1;
    skipBlanks();
    std::string text;
    if (at < value.size() && value[at] == '"') {
      // Browsers write `%22`, others a backslash before the quote; before anything else it stands for itself.
      for (++at; at < value.size() && value[at] != '"'; ++at) {
        if (value[at] == '\\' && at + 1 < value.size() && value[at + 1] == '"')
          ++at;
        text += value[at];
      }
      if (at == value.size())
        return std::nullopt;
      ++at;
      skipBlanks();
      if (at < value.size() && value[at] != ';')
        return std::nullopt;
    } else {
      const size_t end = std::min(value.find(';', at), value.size());
      text = trimHeaderValue(value.substr(at, end - at));
      at = end;
    }
    if (out.find(name) == nullptr)
      out.list.emplace_back(name, std::move(text));
  }
  return out;
}

int hexValue(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/** RFC 8187: `UTF-8'en'%e2%82%ac`. Nothing where it is not that, or of another charset. */
std::optional<std::string> decodeStarred(std::string_view value) {
  const size_t charsetEnd = value.find('\'');
  const size_t languageEnd =
      charsetEnd == std::string_view::npos ? charsetEnd : value.find('\'', charsetEnd + 1);
  if (languageEnd == std::string_view::npos)
    return std::nullopt;
  const std::string charset = lowerCase(value.substr(0, charsetEnd));
  const bool isLatin1 = charset == "iso-8859-1";
  if (charset != "utf-8" && !isLatin1)
    return std::nullopt;
  std::string bytes;
  for (size_t i = languageEnd + 1; i < value.size(); ++i) {
    char c = value[i];
    if (c == '%') {
      if (i + 2 >= value.size() || hexValue(value[i + 1]) < 0 || hexValue(value[i + 2]) < 0)
        return std::nullopt;
      c = static_cast<char>(hexValue(value[i + 1]) << 4 | hexValue(value[i + 2]));
      i += 2;
    }
    const auto byte = static_cast<uint8_t>(c);
    if (isLatin1 && byte >= 0x80) {
      bytes += static_cast<char>(0xC0 | byte >> 6);
      bytes += static_cast<char>(0x80 | (byte & 0x3F));
    } else {
      bytes += c;
    }
  }
  return bytes;
}

/** A name out of quotes: what `quotable` has made, undone. */
std::string unquoted(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view three = text.substr(i, 3);
    const bool isEscape = three == "%0A" || three == "%0D" || three == "%22";
    out += !isEscape ? text[i] : three == "%0A" ? '\n' : three == "%0D" ? '\r' : '"';
    i += isEscape ? 2 : 0;
  }
  std::string mended;
  return std::string(mendUtf8(out, mended));
}

/** Takes a form apart. Its failures are exceptions that are pending. */
class FormParser {
public:
  FormParser(JSContext* ctx, std::string_view body) : ctx_(ctx), body_(body) {}

  bool parse(std::string_view contentType, FormDataData& form) {
    const std::optional<Parameters> type = parametersOf(contentType);
    if (type && type->essence == "application/x-www-form-urlencoded")
      return parseUrlEncoded(form);
    if (!type || type->essence != "multipart/form-data")
      return fail(contentType.empty()
                      ? std::string("without a content-type nobody knows which form it is")
                      : "the content-type " + std::string(contentType) + " is of no form");
    const std::string* boundary = type->find("boundary");
    if (boundary == nullptr || boundary->empty() || boundary->size() > kMaxBoundaryBytes)
      return fail("the content-type has no boundary of 1 to 70 characters");
    return parseMultipart(*boundary, form);
  }

private:
  bool fail(std::string_view what) const {
    throwError(ctx_, ErrorCode::E_FORM, {"formData", what});
    return false;
  }
  bool failLimit(std::string_view what) const {
    throwError(ctx_, ErrorCode::E_FORM_LIMIT, {"formData", what});
    return false;
  }

  /** Whether one more part with these names is within the limits. */
  bool check(const FormDataData& form, std::string_view name, std::string_view filename) const {
    if (form.entries.size() == kMaxParts)
      return failLimit(std::to_string(kMaxParts) + " parts");
    if (name.size() > kMaxNameBytes || filename.size() > kMaxNameBytes)
      return failLimit(std::to_string(kMaxNameBytes) + " bytes of a name");
    return true;
  }

  bool parseUrlEncoded(FormDataData& form) {
    // Looked at before each is made: a body of a megabyte has a million of them.
    if (static_cast<size_t>(std::count(body_.begin(), body_.end(), '&')) >= kMaxParts)
      return failLimit(std::to_string(kMaxParts) + " parts");
    // A question mark at the begin of a query would be dropped, and is none here.
    const ada::url_search_params pairs("?" + std::string(body_));
    for (const auto& [name, value] : pairs) {
      std::string mendedName;
      std::string mendedValue;
      FormEntry entry{std::string(mendUtf8(name, mendedName)),
                      std::string(mendUtf8(value, mendedValue)),
                      {}};
      if (!check(form, entry.name, {}) || !form.append(ctx_, std::move(entry)))
        return false;
    }
    return true;
  }

  bool parseMultipart(std::string_view boundary, FormDataData& form) {
    const std::string delimiter = "\r\n--" + std::string(boundary);
    while (body_.substr(at_, 2) == "\r\n")
      at_ += 2;
    if (!body_.substr(at_).starts_with(std::string_view(delimiter).substr(2)))
      return fail("the body does not begin with its boundary");
    at_ += delimiter.size() - 2;
    for (;;) {
      if (body_.substr(at_, 2) == "--") {
        at_ += 2;
        return at_ == body_.size() || body_.substr(at_, 2) == "\r\n" ||
               fail("there is something behind the last boundary");
      }
      while (at_ < body_.size() && (body_[at_] == ' ' || body_[at_] == '\t'))
        ++at_;
      if (body_.substr(at_, 2) != "\r\n")
        return fail("a boundary is not followed by a line end");
      at_ += 2;
      Part part;
      if (!parseHeaders(part))
        return false;
      // A part may be empty, and the line end of its headers the one before the boundary.
      const size_t end = body_.find(delimiter, at_ - 2);
      if (end == std::string_view::npos)
        return fail("the body ends inside a part");
      const size_t size = end < at_ ? 0 : end - at_;
      if (!check(form, part.name, part.filename.value_or("")) || !add(form, std::move(part), size))
        return false;
      at_ = end + delimiter.size();
    }
  }

  struct Part {
    std::string name;
    std::optional<std::string> filename;
    std::string type;
  };

  /** The headers of a part, up to the empty line behind them. */
  bool parseHeaders(Part& part) {
    const size_t begin = at_;
    bool hasName = false;
    for (;;) {
      const size_t end = body_.find("\r\n", at_);
      if (std::min(end, body_.size()) - begin > kMaxPartHeaderBytes)
        return failLimit(std::to_string(kMaxPartHeaderBytes) + " bytes of headers in a part");
      if (end == std::string_view::npos)
        return fail("the body ends inside the headers of a part");
      const std::string_view line = body_.substr(at_, end - at_);
      at_ = end + 2;
      if (line.empty())
        return hasName || fail("a part has no content-disposition");
      const size_t colon = line.find(':');
      if (colon == std::string_view::npos || !isHeaderName(line.substr(0, colon)))
        return fail("a header of a part is none");
      const std::string name = lowerCase(line.substr(0, colon));
      const std::string_view value = trimHeaderValue(line.substr(colon + 1));
      if (name == "content-type")
        part.type = value;
      if (name != "content-disposition")
        continue;
      if (!parseDisposition(value, part))
        return false;
      hasName = true;
    }
  }

  bool parseDisposition(std::string_view value, Part& part) const {
    const std::optional<Parameters> disposition = parametersOf(value);
    if (!disposition || disposition->essence != "form-data")
      return fail("the content-disposition of a part is not form-data with parameters");
    const auto text = [&](const std::string& name) -> std::optional<std::string> {
      if (const std::string* starred = disposition->find(name + "*")) {
        if (std::optional<std::string> decoded = decodeStarred(*starred)) {
          std::string mended;
          return std::string(mendUtf8(*decoded, mended));
        }
      }
      const std::string* plain = disposition->find(name);
      return plain == nullptr ? std::nullopt : std::optional(unquoted(*plain));
    };
    std::optional<std::string> name = text("name");
    if (!name)
      return fail("a part has no name");
    part.name = *std::move(name);
    part.filename = text("filename");
    return true;
  }

  bool add(FormDataData& form, Part part, size_t size) {
    FormEntry entry{std::move(part.name), {}, {}};
    const std::string_view bytes = body_.substr(at_, size);
    if (!part.filename) {
      std::string mended;
      entry.text = mendUtf8(bytes, mended);
      return form.append(ctx_, std::move(entry));
    }
    Runtime& runtime = Runtime::from(ctx_);
    // Files share the bytes of the body.
    if (shared_ == nullptr)
      shared_ = BlobBytes::of(runtime.engine(), std::string(body_));
    if (shared_ == nullptr) {
      JS_ThrowOutOfMemory(ctx_);
      return false;
    }
    auto file = std::make_unique<BlobData>();
    file->bytes = shared_;
    file->offset = at_;
    file->size = size;
    file->type = blobType(part.type.empty() ? "text/plain" : part.type);
    file->isFile = true;
    file->name = *std::move(part.filename);
    file->lastModified = nowMs();
    entry.file = wrapFile(runtime, std::move(file));
    return !entry.file.isException() && form.append(ctx_, std::move(entry));
  }

  JSContext* ctx_;
  std::string_view body_;
  size_t at_ = 0;
  std::shared_ptr<const BlobBytes> shared_;
};

}  // namespace

std::shared_ptr<const BlobBytes> BlobBytes::of(const js::Runtime& engine, std::string bytes) {
  auto shared = std::make_shared<BlobBytes>(engine);
  if (!shared->charge_.set(bytes.size()))
    return nullptr;
  shared->bytes_ = std::move(bytes);
  return shared;
}

BlobData* blobOf(Runtime& runtime, JSValueConst value) {
  return static_cast<BlobData*>(bind::tryUnwrap(runtime, value, HostClass::Blob));
}

js::Value cloneBlob(Runtime& runtime, JSValueConst value) {
  auto copy = std::make_unique<BlobData>(*blobOf(runtime, value));
  return copy->isFile ? wrapFile(runtime, std::move(copy))
                      : bind::wrap(runtime, HostClass::Blob, copy.release());
}

js::Value newBlob(Runtime& runtime, std::string_view bytes, std::string_view type) {
  auto data = std::make_unique<BlobData>();
  data->bytes = BlobBytes::of(runtime.engine(), std::string(bytes));
  data->size = bytes.size();
  data->type = blobType(type);
  if (data->bytes == nullptr)
    return {runtime.ctx(), JS_ThrowOutOfMemory(runtime.ctx())};
  return bind::wrap(runtime, HostClass::Blob, data.release());
}

std::optional<size_t> formEntryCount(Runtime& runtime, JSValueConst value) {
  const auto* form =
      static_cast<FormDataData*>(bind::tryUnwrap(runtime, value, HostClass::FormData));
  return form == nullptr ? std::nullopt : std::optional(form->entries.size());
}

bool formEntryAt(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                 js::Value& value) {
  const auto* data = static_cast<FormDataData*>(
      bind::tryUnwrap(Runtime::from(ctx), iterable, HostClass::FormData));
  if (index >= data->entries.size())
    return false;
  key = js::newUtf8(ctx, data->entries[index].name);
  value = valueOf(ctx, data->entries[index]);
  return true;
}

bool formText(Runtime& runtime, JSValueConst value, std::string& body, std::string& contentType) {
  const auto* form =
      static_cast<FormDataData*>(bind::tryUnwrap(runtime, value, HostClass::FormData));
  if (form == nullptr)
    return false;
  std::array<uint8_t, 16> random{};
  (void)js::fillRandom(random);
  std::string boundary = "----fairlead";
  for (const uint8_t byte : random) {
    constexpr char kDigits[] = "0123456789abcdef";
    boundary += kDigits[byte >> 4];
    boundary += kDigits[byte & 0x0F];
  }
  for (const FormEntry& entry : form->entries) {
    body.append("--").append(boundary).append("\r\nContent-Disposition: form-data; name=\"");
    body.append(quotable(withCrLf(entry.name))).append("\"");
    if (const BlobData* file = blobOf(runtime, entry.file.get())) {
      body.append("; filename=\"").append(quotable(file->name)).append("\"\r\nContent-Type: ");
      body.append(file->type.empty() ? "application/octet-stream" : file->type).append("\r\n\r\n");
      body.append(file->view());
    } else {
      body.append("\r\n\r\n").append(withCrLf(entry.text));
    }
    body.append("\r\n");
  }
  body.append("--").append(boundary).append("--\r\n");
  contentType = "multipart/form-data; boundary=" + boundary;
  return true;
}

js::Value parseForm(JSContext* ctx, std::string_view body, std::string_view contentType) {
  Runtime& runtime = Runtime::from(ctx);
  auto form = std::make_unique<FormDataData>(runtime);
  if (!FormParser(ctx, body).parse(contentType, *form))
    return {ctx, JS_EXCEPTION};
  return bind::wrap(runtime, HostClass::FormData, form.release());
}

JSValue defineBlob(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Blob, kRows, BlobData::kName);
}

JSValue defineFile(Runtime& runtime) {
  JSContext* ctx = runtime.ctx();
  if (!runtime.ensureClass(HostClass::Blob))
    return JS_EXCEPTION;
  js::Value file(ctx, bind::defineClass(runtime, HostClass::File, kRows, "File"));
  if (file.isException())
    return JS_EXCEPTION;
  const js::Value base(ctx, JS_GetClassProto(ctx, runtime.classId(HostClass::Blob)));
  const js::Value own(ctx, JS_GetClassProto(ctx, runtime.classId(HostClass::File)));
  const js::Value baseConstructor(ctx, JS_GetPropertyStr(ctx, base.get(), "constructor"));
  if (baseConstructor.isException() || JS_SetPrototype(ctx, own.get(), base.get()) < 0 ||
      JS_SetPrototype(ctx, file.get(), baseConstructor.get()) < 0)
    return JS_EXCEPTION;
  return file.release();
}

JSValue defineFormData(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::FormData, kRows, FormDataData::kName);
}

}  // namespace fairlead
