// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.secrets: what the config's `secrets` hold, in objects that do not show it by mistake.

#include <memory>
#include <string>
#include <utility>

#include "filter-cc/facts.h"
#include "filter-cc/runtime.h"
#include "filter-cc/secrets.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

/** Behind a Secret. Owner: the script object, which may outlive its stream. */
class SecretData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Secret;
  static constexpr const char* kName = "Secret";
  SecretData(std::string_view name, std::shared_ptr<const std::string> value)
      : name(name), value(std::move(value)) {}

  const std::string name;
  const std::shared_ptr<const std::string> value;
};

using Secrets_Self = SecretsData;
using Secret_Self = SecretData;

Outcome<JSValue> Secrets_get(Call& call, SecretsData& self, std::string_view name) {
  const FilterConfig& config = self.stream.config();
  std::shared_ptr<const std::string> value;
  if (config.secrets != nullptr)
    value = config.secrets->get(name);
  if (value == nullptr) {
    std::string names;
    for (const auto& [known, source] : config.config.secrets)
      names.append(names.empty() ? "" : ", ").append(known);
    return call.fail(ErrorCode::E_SECRET, {name, names.empty() ? "none" : names});
  }
  if (value->empty())
    return call.fail(ErrorCode::E_SECRET_PENDING, {name});
  return bind::wrap(call.runtime, HostClass::Secret, new SecretData(name, std::move(value)));
}

Outcome<std::string_view> Secret_text(Call&, SecretData& self) {
  return std::string_view(*self.value);
}

Outcome<JSValue> Secret_bytes(Call& call, SecretData& self) {
  return JS_NewUint8ArrayCopy(call.ctx, reinterpret_cast<const uint8_t*>(self.value->data()),
                              self.value->size());
}

Outcome<std::string_view> Secret_toString(Call& call, SecretData& self) {
  return call.keep("[secret " + self.name + "]");
}

Outcome<std::string_view> Secret_toJSON(Call& call, SecretData& self) {
  return Secret_toString(call, self);
}

#define HOST_secrets
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineSecrets(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Secrets, kRows, SecretsData::kName);
}

JSValue defineSecret(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Secret, kRows, SecretData::kName);
}

}  // namespace fairlead
