// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/reload.h"

#include <algorithm>
#include <string>

#include "filter-cc/errors.h"

namespace fairlead {

Result<std::unique_ptr<LiveConfig>> LiveConfig::create(std::string_view filterName, std::string_view bytes,
                                                       HostConfig& host) {
  auto first = FilterConfig::create(filterName, bytes, &host);
  if (!first)
    return std::move(first).error();
  return std::unique_ptr<LiveConfig>(new LiveConfig(*std::move(first), host));
}

LiveConfig::LiveConfig(std::unique_ptr<FilterConfig> first, HostConfig& host)
    : host_(host), generation_(std::move(first)), newest_(generation_.get()) {
  generation_->life = std::make_shared<char>();
  generation_->script->claim();
  const Config& config = generation_->config;
  if (!config.watch || generation_->script->validating())
    return;
  slotCount_ = std::max(host::concurrency(), 1U);
  slots_ = std::make_unique<Slot[]>(slotCount_);
  job_ = host.newJob(*this);
  job_->watchFile(config.source.text);
  judged_ = seen_ = generation_->fileStamp;
  job_->wakeAt(host::monotonicNs() + kFilePeriodNs);
}

LiveConfig::~LiveConfig() {
  // Whatever it wakes is here.
  job_.reset();
  for (uint32_t i = 0; i < slotCount_; ++i)
    drop(slots_[i].held);
  generation_->script->release();
}

void LiveConfig::renew(Slot& slot) {
  auto* held = new Held{nullptr, 1};
  {
    const Lock lock(mutex_);
    held->config = generation_;
  }
  drop(std::exchange(slot.held, held));
}

void LiveConfig::onWake() {
  const std::string& path = generation_->config.source.text;
  const FileNews news = job_->fileNews();
  if (news.blind)
    job_->watchFile(path);
  const uint64_t nowNs = host::monotonicNs();
  job_->wakeAt(nowNs + kFilePeriodNs);
  const FileStamp stamp = lookAtFile(path);
  if (stamp != seen_) {
    seen_ = stamp;
    seenNs_ = nowNs;
  }
  if (stamp == judged_ || news.beingWritten)
    return;
  // What nobody has told of may be half of a file still, and no file the moment between two: it has to last.
  const bool told = news.replaced && stamp != FileStamp();
  if (!told && nowNs - seenNs_ < kFilePeriodNs)
    return;
  judged_ = seen_;
  // A link may lead elsewhere now.
  job_->watchFile(path);
  reload();
}

void LiveConfig::reload() {
  auto made = FilterConfig::reload(*generation_);
  if (!made)
    return refuse(std::move(made).error());
  if ((*made)->script == generation_->script)
    return;
  publish(*std::move(made));
}

void LiveConfig::publish(std::shared_ptr<FilterConfig> next) {
  next->life = std::make_shared<char>();
  next->script->claim();
  next->script->prebuild(*generation_->script, next->config);
  const std::shared_ptr<FilterConfig> old = generation_;
  {
    const Lock lock(mutex_);
    generation_ = std::move(next);
  }
  newest_.store(generation_.get(), std::memory_order_release);
  for (const std::unique_ptr<Job>& job : old->jobs)
    job->stop();
  old->jobs.clear();
  generation_->startJobs(host_);
  old->script->release();
  const uint64_t number = ++generation_->reloads->generation;
  (void)updateMetric(ScriptMetric::Generation, number);
  host::log(LogLevel::Info,
            generation_->config.filterName + ": generation " + std::to_string(number) + " of " +
                describeFile(generation_->config.source.text) + " is live",
            {}, 0);
}

void LiveConfig::refuse(Error error) {
  error.message += "; generation " + std::to_string(generation_->reloads->generation) + " stays live";
  host::log(LogLevel::Error, generation_->config.filterName + ": " + formatError(error), error.file,
            error.line);
  // Envoy before 1.39 counts by streams alone.
  if (!updateMetric(ScriptMetric::ReloadFailures, 1))
    ++generation_->reloads->failures;
}

bool LiveConfig::updateMetric(ScriptMetric metric, uint64_t value) {
  const MetricKind kind = kindOf(metric);
  return job_->updateMetric(kind, kind == MetricKind::Gauge ? MetricChange::Set : MetricChange::Add,
                            generation_->metricIds.ofScript[static_cast<size_t>(metric)], {}, value);
}

}  // namespace fairlead
