// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/secrets.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "filter-cc/config.h"
#include "filter-cc/errors.h"
#include "filter-cc/files.h"

namespace fairlead {

SecretFiles::Stamp SecretFiles::look(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) < 0)
    return {};
  return {static_cast<uint64_t>(found.st_dev), static_cast<uint64_t>(found.st_ino),
          static_cast<int64_t>(found.st_size), static_cast<int64_t>(found.st_mtim.tv_sec),
          static_cast<int64_t>(found.st_mtim.tv_nsec)};
}

Result<std::unique_ptr<SecretFiles>> SecretFiles::read(const Config& config) {
  auto files = std::make_unique<SecretFiles>();
  files->filterName_ = config.filterName;
  for (const auto& [name, source] : config.secrets) {
    Secret& secret = files->secrets_[name];
    if (!source.isFile) {
      secret.value = std::make_shared<const std::string>(source.text);
      continue;
    }
    secret.path = source.text;
    secret.stamp = look(secret.path);
    std::string cause;
    std::optional<std::string> content = readFile(secret.path, kMaxSecretBytes, cause);
    if (!content)
      return makeError(ErrorCode::E_SECRET_FILE, {name, describeFile(secret.path) + ": " + cause});
    secret.value = std::make_shared<const std::string>(*std::move(content));
  }
  return files;
}

void SecretFiles::start(HostConfig& host) {
  host_ = host.newJob(*this);
  const bool watches = std::any_of(secrets_.begin(), secrets_.end(),
                                   [](const auto& secret) { return !secret.second.path.empty(); });
  if (watches)
    host_->wakeAt(host::monotonicNs() + kSecretPeriodNs);
}

void SecretFiles::onWake() {
  for (auto& [name, secret] : secrets_) {
    if (secret.path.empty())
      continue;
    // Before it is read: what changes meanwhile is seen next time.
    const Stamp stamp = look(secret.path);
    if (stamp == secret.stamp && secret.failure.empty())
      continue;
    std::string cause;
    std::optional<std::string> content = readFile(secret.path, kMaxSecretBytes, cause);
    if (!content) {
      // The last good one is kept. A cause is told once.
      if (cause != std::exchange(secret.failure, cause)) {
        const Error error = makeError(ErrorCode::E_SECRET_FILE,
                                      {name, describeFile(secret.path) + ": " + cause});
        host::log(LogLevel::Error, filterName_ + ": " + formatError(error), {}, 0);
      }
      continue;
    }
    secret.stamp = stamp;
    secret.failure.clear();
    auto value = std::make_shared<const std::string>(*std::move(content));
    mutex_.lock();
    secret.value.swap(value);
    mutex_.unlock();
  }
  host_->wakeAt(host::monotonicNs() + kSecretPeriodNs);
}

std::shared_ptr<const std::string> SecretFiles::get(std::string_view name) const {
  const auto found = secrets_.find(name);
  if (found == secrets_.end())
    return nullptr;
  mutex_.lock();
  std::shared_ptr<const std::string> value = found->second.value;
  mutex_.unlock();
  return value;
}

}  // namespace fairlead
