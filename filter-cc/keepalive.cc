// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/keepalive.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "filter-cc/errors.h"

namespace fairlead {

KeepaliveCalls::~KeepaliveCalls() {
  // Its callbacks may be used by the main thread only, and all of its calls go with the config.
  host_.reset();
}

bool KeepaliveCalls::add(KeepaliveCall call) {
  const Lock lock(mutex_);
  if (inFlight_ >= limit_)
    return false;
  ++inFlight_;
  waiting_.push_back(std::move(call));
  arm();
  return true;
}

void KeepaliveCalls::arm() {
  if (!waiting_.empty())
    host_->wakeAt(host::monotonicNs());
  else if (nextDeadlineNs_)
    host_->wakeAt(*nextDeadlineNs_);
}

void KeepaliveCalls::onWake() {
  std::vector<KeepaliveCall> calls;
  {
    const Lock lock(mutex_);
    calls = std::exchange(waiting_, {});
  }
  busy_ = true;
  const uint64_t nowNs = host::monotonicNs();
  for (KeepaliveCall& call : calls) {
    Running& running = running_.emplace_back();
    running.deadlineNs = nowNs + call.timeoutNs;
    running.cluster = call.cluster;
    startCall(running, call);
  }
  for (Running& running : running_) {
    if (running.done || running.deadlineNs > nowNs)
      continue;
    fail(running, "was not answered in time");
    host_->resetCallout(std::exchange(running.calloutId, 0));
  }
  busy_ = false;
  sweep();
}

void KeepaliveCalls::startCall(Running& running, const KeepaliveCall& call) {
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : call.headers)
    fields.push_back({name, value});
  switch (host_->startCallout(call.cluster, fields, call.body, true, running.calloutId)) {
  case CalloutStart::Started:
    return;
  case CalloutStart::ClusterNotFound:
    fail(running, "found no such cluster");
    return;
  case CalloutStart::CannotCreateRequest:
    fail(running, "found no host that could take it");
    return;
  case CalloutStart::MissingRequiredHeaders:
  case CalloutStart::DuplicateCalloutId:
    fail(running, "was refused by Envoy");
    return;
  }
}

KeepaliveCalls::Running* KeepaliveCalls::find(uint64_t calloutId) {
  const auto found = std::find_if(running_.begin(), running_.end(), [&](const Running& running) {
    return running.calloutId == calloutId && !running.done;
  });
  return found == running_.end() ? nullptr : &*found;
}

void KeepaliveCalls::finish(Running& running) {
  running.done = true;
  const Lock lock(mutex_);
  --inFlight_;
}

void KeepaliveCalls::fail(Running& running, std::string_view why) {
  if (running.done)
    return;
  finish(running);
  const Error error = makeError(ErrorCode::E_KEEPALIVE_FAILED, {running.cluster, why});
  host::log(LogLevel::Error, filterName_ + ": " + formatError(error), {}, 0);
  constexpr std::string_view kCause = "keepalive";
  if (errorsId_ != 0)
    host_->updateMetric(MetricKind::Counter, MetricChange::Add, errorsId_, {&kCause, 1}, 1);
}

void KeepaliveCalls::judge(Running& running) {
  uint32_t status = 0;
  std::from_chars(running.status.data(), running.status.data() + running.status.size(), status);
  constexpr uint32_t kFirstError = 400;
  if (status >= kFirstError)
    fail(running, "was answered with status " + running.status);
  else
    finish(running);
  sweep();
}

void KeepaliveCalls::sweep() {
  if (busy_)
    return;
  running_.remove_if([](const Running& running) { return running.done; });
  const Lock lock(mutex_);
  nextDeadlineNs_.reset();
  for (const Running& running : running_)
    nextDeadlineNs_ = std::min(nextDeadlineNs_.value_or(UINT64_MAX), running.deadlineNs);
  arm();
}

void KeepaliveCalls::onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers,
                                      bool endStream) {
  Running* running = find(calloutId);
  if (running == nullptr)
    return;
  for (const HeaderField& field : headers) {
    if (field.name == ":status")
      running->status = field.value;
  }
  if (endStream)
    judge(*running);
}

void KeepaliveCalls::onCalloutData(uint64_t calloutId, std::span<const std::string_view>,
                                   bool endStream) {
  if (endStream)
    onCalloutComplete(calloutId);
}

void KeepaliveCalls::onCalloutComplete(uint64_t calloutId) {
  if (Running* running = find(calloutId))
    judge(*running);
}

void KeepaliveCalls::onCalloutReset(uint64_t calloutId) {
  if (Running* running = find(calloutId)) {
    fail(*running, "was reset before its answer was complete");
    sweep();
  }
}

}  // namespace fairlead
