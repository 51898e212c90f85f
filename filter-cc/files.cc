// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace fairlead {
namespace {

/** An open file; closed at the end of the scope. */
class File {
public:
  /** Never waits, not even for the other end of a FIFO. */
  explicit File(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)) {}
  ~File() {
    if (descriptor_ >= 0)
      close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  explicit operator bool() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

private:
  int descriptor_;
};

/** Whether a file was written to between two looks at it. */
bool changed(const struct stat& before, const struct stat& after) {
  return before.st_size != after.st_size || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
         before.st_mtim.tv_nsec != after.st_mtim.tv_nsec;
}

int64_t toNs(const timespec& time) {
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  return time.tv_sec * kNsPerSecond + time.tv_nsec;
}

}  // namespace

FileStamp lookAtFile(const std::string& path) {
  struct stat found {};
  if (stat(path.c_str(), &found) < 0)
    return {};
  return {static_cast<uint64_t>(found.st_dev), static_cast<uint64_t>(found.st_ino),
          static_cast<int64_t>(found.st_size), toNs(found.st_mtim), toNs(found.st_ctim)};
}

std::string describeFile(const std::string& path) {
  constexpr size_t kMaxShownBytes = 512;
  return "file " + (path.size() > kMaxShownBytes ? path.substr(0, kMaxShownBytes) + "…" : path);
}

std::optional<std::string> readFile(const std::string& path, size_t maxBytes, std::string& cause) {
  const auto refuse = [&](std::string why) {
    cause = std::move(why);
    return std::nullopt;
  };
  const File file(path);
  struct stat before {};
  if (!file || fstat(file.descriptor(), &before) < 0)
    return refuse(std::strerror(errno));
  if (S_ISDIR(before.st_mode))
    return refuse("it is a directory");
  if (!S_ISREG(before.st_mode))
    return refuse("it is not a regular file");
  const auto size = static_cast<uint64_t>(before.st_size);
  if (size > maxBytes)
    return refuse("it has " + std::to_string(size) + " bytes, more than " +
                  std::to_string(maxBytes / 1024) + " KiB");
  if (size == 0)
    return refuse("it is empty");

  std::string content(size, '\0');
  size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t got = ::read(file.descriptor(), &content[filled], content.size() - filled);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return refuse(std::strerror(errno));
    if (got == 0)
      break;
    filled += static_cast<size_t>(got);
  }
  struct stat after {};
  if (filled < content.size() || fstat(file.descriptor(), &after) < 0 || changed(before, after))
    return refuse("it changed while it was read; write a new file and rename it");
  return content;
}

}  // namespace fairlead
