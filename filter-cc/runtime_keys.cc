// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/runtime_keys.h"

namespace fairlead {

RuntimeKeys::RuntimeKeys(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    values_[name];
}

void RuntimeKeys::start(HostConfig& host) {
  host_ = host.newJob(*this);
  onWake();
}

void RuntimeKeys::onWake() {
  for (auto& [name, value] : values_) {
    const std::optional<RuntimeValue> now = host::runtimeValue(name);
    const Lock lock(mutex_);
    value = now;
  }
  host_->wakeAt(host::monotonicNs() + kRuntimePeriodNs);
}

bool RuntimeKeys::get(std::string_view name, std::optional<RuntimeValue>& value) const {
  const auto found = values_.find(name);
  if (found == values_.end())
    return false;
  const Lock lock(mutex_);
  value = found->second;
  return true;
}

}  // namespace fairlead
