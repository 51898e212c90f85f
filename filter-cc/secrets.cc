// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/secrets.h"

#include <utility>

#include "filter-cc/errors.h"

namespace fairlead {

Result<std::unique_ptr<ConfigSecrets>> ConfigSecrets::read(const Config& config) {
  auto files = std::make_unique<ConfigSecrets>();
  files->filterName_ = config.filterName;
  for (const auto& [name, source] : config.secrets) {
    Secret& secret = files->secrets_[name];
    secret.source = source;
    if (source.kind == SecretSource::Kind::Inline)
      secret.value = std::make_shared<const std::string>(source.text);
    if (source.kind != SecretSource::Kind::File)
      continue;
    secret.stamp = lookAtFile(source.text);
    std::string cause;
    std::optional<std::string> content = readFile(source.text, kMaxSecretBytes, cause);
    if (!content)
      return makeError(ErrorCode::E_SECRET_FILE, {name, describeFile(source.text) + ": " + cause});
    secret.value = std::make_shared<const std::string>(*std::move(content));
  }
  return files;
}

Result<void> ConfigSecrets::start(HostConfig& host, bool validated) {
  bool hasFiles = false;
  for (auto& [name, secret] : secrets_) {
    hasFiles |= secret.source.kind == SecretSource::Kind::File;
    if (secret.source.kind != SecretSource::Kind::Sds ||
        (validated && !secret.source.configSource.empty()))
      continue;
    secret.id = host.subscribeSecret(secret.source.text, secret.source.configSource);
    if (secret.id == 0)
      return makeError(ErrorCode::E_SECRET_SDS, {name, secret.source.text});
  }
  if (validated)
    return {};
  host_ = host.newJob(*this);
  if (hasFiles)
    host_->wakeAt(host::monotonicNs() + kSecretPeriodNs);
  return {};
}

void ConfigSecrets::onWake() {
  for (auto& [name, secret] : secrets_) {
    if (secret.source.kind != SecretSource::Kind::File)
      continue;
    const std::string& path = secret.source.text;
    // Before it is read: what changes meanwhile is seen next time.
    const FileStamp stamp = lookAtFile(path);
    if (stamp == secret.stamp && secret.failure.empty())
      continue;
    std::string cause;
    std::optional<std::string> content = readFile(path, kMaxSecretBytes, cause);
    if (!content) {
      // The last good one is kept. A cause is told once.
      if (cause != std::exchange(secret.failure, cause)) {
        const Error error = makeError(ErrorCode::E_SECRET_FILE,
                                      {name, describeFile(path) + ": " + cause});
        host::log(LogLevel::Error, filterName_ + ": " + formatError(error), {}, 0);
      }
      continue;
    }
    secret.stamp = stamp;
    secret.failure.clear();
    auto value = std::make_shared<const std::string>(*std::move(content));
    const Lock lock(mutex_);
    secret.value.swap(value);
  }
  host_->wakeAt(host::monotonicNs() + kSecretPeriodNs);
}

std::shared_ptr<const std::string> ConfigSecrets::get(std::string_view name) const {
  const auto found = secrets_.find(name);
  if (found == secrets_.end())
    return nullptr;
  if (found->second.source.kind == SecretSource::Kind::Sds)
    return std::make_shared<const std::string>(host_ == nullptr ? "" : host_->secret(found->second.id));
  const Lock lock(mutex_);
  return found->second.value;
}

}  // namespace fairlead
