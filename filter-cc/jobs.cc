// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/jobs.h"

#include <algorithm>
#include <utility>

#include "filter-cc/script.h"
#include "filter-cc/stream.h"

namespace fairlead {

/** One run: an exchange without messages, whose end is that its hook goes on, or fails. */
class Job::Run final : public HostStream {
public:
  explicit Run(Job& job) : job_(&job), stream_(*this, job.config_) {}

  Stream& stream() { return stream_; }

  void begin(size_t index) {
    const StreamRef keep(stream_);
    if (stream_.onJob(index))
      end();
  }

  /** Ends it, however it came: from here on nothing reaches the host. */
  void end() {
    if (job_ == nullptr)
      return;
    stream_.onComplete();
    Job* job = std::exchange(job_, nullptr);
    job->run_ = nullptr;
    job->wakeNs_ = 0;
    stream_.unref();
  }

  void continueMessage(Direction) override { end(); }
  void sendResponse(uint32_t, std::span<const HeaderField>, std::string_view,
                    std::string_view) override {
    end();
  }
  void resetStream(std::string_view) override { end(); }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId) override {
    return host() == nullptr ? CalloutStart::CannotCreateRequest
                             : host()->startCallout(cluster, headers, body, endStream, calloutId);
  }
  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) override {
    return host() != nullptr && host()->sendCalloutData(calloutId, bytes, endStream);
  }
  void resetCallout(uint64_t calloutId) override {
    if (host() != nullptr)
      host()->resetCallout(calloutId);
  }
  void wakeAt(uint64_t deadlineNs) override {
    if (job_ == nullptr)
      return;
    job_->wakeNs_ = deadlineNs;
    job_->arm();
  }
  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    return host() != nullptr && host()->updateMetric(kind, change, metricId, labels, value);
  }
  uint32_t workerIndex() override { return host::concurrency(); }
  void release() override { delete this; }

  // There is no message, no client, no route.
  std::optional<HeaderLookup> header(HeaderMap, std::string_view, size_t) override { return {}; }
  bool headers(HeaderMap, std::vector<HeaderField>&) override { return false; }
  void setHeader(HeaderMap, std::string_view, std::string_view) override {}
  void addHeader(HeaderMap, std::string_view, std::string_view) override {}
  void removeHeader(HeaderMap, std::string_view) override {}
  size_t bodySize(Direction, BodyPart) override { return 0; }
  void body(Direction, BodyPart, std::vector<std::string_view>& out) override { out.clear(); }
  void drainBody(Direction, BodyPart, size_t) override {}
  void appendBody(Direction, BodyPart, std::string_view) override {}
  void raiseBufferLimit(size_t) override {}
  void sendResponseHeaders(std::span<const HeaderField>, bool) override {}
  void sendResponseData(std::string_view, bool) override {}
  bool canBeginResponse() override { return false; }
  void endConnection() override {}
  void addResponseFlag(std::string_view) override {}
  std::optional<std::string_view> attributeText(Attribute) override { return {}; }
  std::optional<uint64_t> attributeNumber(Attribute) override { return {}; }
  std::optional<bool> attributeFlag(Attribute) override { return {}; }
  bool timing(Timing&) override { return false; }
  std::optional<std::string_view> directRemoteAddress() override { return {}; }
  std::optional<MetadataValue> metadata(MetadataSource, std::string_view,
                                        std::string_view) override {
    return {};
  }
  std::vector<std::string> metadataKeys(MetadataSource, std::string_view) override { return {}; }
  std::vector<std::string> metadataNamespaces(MetadataSource) override { return {}; }
  std::optional<std::pair<std::string_view, std::string_view>>
  typedMetadata(MetadataSource, std::string_view) override {
    return {};
  }
  bool setMetadata(std::string_view, std::string_view, const MetadataValue&) override {
    return false;
  }
  std::optional<std::string_view> filterState(std::string_view) override { return {}; }
  FilterStateWrite setFilterState(std::string_view, std::string_view, bool) override {
    return FilterStateWrite::Refused;
  }
  void clearRouteCache() override {}
  std::optional<std::string_view> clusterName() override { return {}; }
  std::optional<HostCount> hostCount(uint32_t) override { return {}; }
  bool setUpstreamHost(std::string_view, bool) override { return false; }
  std::optional<SocketOptionValue> socketOption(const SocketOption&) override { return {}; }
  bool setSocketOption(const SocketOption&, const SocketOptionValue&) override { return false; }
  // Nothing traces a job: it has no span, and so nobody asks for more.
  HostSpan* activeSpan() override { return nullptr; }
  HostSpan* spawnSpan(HostSpan&, std::string_view) override { return nullptr; }
  void finishSpan(HostSpan&) override {}
  void setSpanTag(HostSpan&, std::string_view, std::string_view) override {}
  void logToSpan(HostSpan&, std::string_view) override {}
  void setSpanOperation(HostSpan&, std::string_view) override {}
  void setSpanSampled(HostSpan&, bool) override {}
  std::optional<std::string_view> spanBaggage(HostSpan&, std::string_view) override {
    return std::nullopt;
  }
  void setSpanBaggage(HostSpan&, std::string_view, std::string_view) override {}
  std::optional<std::string_view> traceId(HostSpan&) override { return std::nullopt; }
  std::optional<std::string_view> spanId(HostSpan&) override { return std::nullopt; }

private:
  HostJob* host() { return job_ == nullptr ? nullptr : job_->host_.get(); }

  Job* job_;
  Stream stream_;
};

Job::Job(const FilterConfig& config, size_t index, uint64_t intervalNs)
    : config_(config), index_(index), intervalNs_(intervalNs) {}

Job::~Job() {
  // Its callbacks may be used by the main thread only, and all of its calls go with the config.
  host_.reset();
  if (run_ != nullptr)
    run_->end();
}

void Job::start(HostConfig& host) {
  host_ = host.newJob(*this);
  nextNs_ = host::monotonicNs();
  arm();
}

void Job::stop() {
  if (run_ != nullptr)
    run_->end();
  host_.reset();
}

void Job::onWake() {
  const uint64_t now = host::monotonicNs();
  if (run_ != nullptr && wakeNs_ != 0 && wakeNs_ <= now) {
    wakeNs_ = 0;
    const StreamRef keep(run_->stream());
    keep->onWake();
  }
  if (nextNs_ <= now) {
    // What was missed is not made up for.
    nextNs_ += (now - nextNs_) / intervalNs_ * intervalNs_ + intervalNs_;
    if (run_ == nullptr)
      begin();
  }
  arm();
}

void Job::begin() {
  run_ = new Run(*this);
  run_->begin(index_);
}

void Job::arm() {
  if (host_ != nullptr)
    host_->wakeAt(wakeNs_ == 0 ? nextNs_ : std::min(wakeNs_, nextNs_));
}

template <class Event> void Job::tellRun(Event&& event) {
  if (run_ == nullptr)
    return;
  const StreamRef keep(run_->stream());
  event(*keep);
}

void Job::onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers, bool endStream) {
  tellRun([&](Stream& stream) { stream.onCalloutHeaders(calloutId, headers, endStream); });
}

void Job::onCalloutData(uint64_t calloutId, std::span<const std::string_view> pieces, bool endStream) {
  tellRun([&](Stream& stream) { stream.onCalloutData(calloutId, pieces, endStream); });
}

void Job::onCalloutComplete(uint64_t calloutId) {
  tellRun([&](Stream& stream) { stream.onCalloutComplete(calloutId); });
}

void Job::onCalloutReset(uint64_t calloutId) {
  tellRun([&](Stream& stream) { stream.onCalloutReset(calloutId); });
}

}  // namespace fairlead
