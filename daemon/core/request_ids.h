// Request ids in use, so that a retry never acts twice.
#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "drivers/api/driver.h"
#include "drivers/api/mutex.h"

namespace canhub {

// Thread-safe. An id is remembered per caller and place (device or bus): one call that sets items
// of several devices gives each of them the same id.
class RequestIds {
 public:
  // How long an id is remembered. A caller who has used this many in that time is refused rather
  // than forgotten: a forgotten id could act twice.
  static constexpr Duration kMemory = std::chrono::minutes(10);
  static constexpr size_t kMaxPerCaller = 200'000;
  static constexpr size_t kMaxLength = 64;

  // ALREADY_EXISTS; RESOURCE_EXHAUSTED: too many.
  absl::Status Claim(const std::string& identity, const std::string& place,
                     const std::string& request_id, CommandId command, MonoTime now);
  // ALREADY_EXISTS where Claim would say it; claims nothing.
  absl::Status Look(const std::string& identity, const std::string& place,
                    const std::string& request_id, MonoTime now) const;
  // The command was refused after all: a retry may act.
  void GiveBack(const std::string& identity, const std::string& place,
                const std::string& request_id);

 private:
  struct Claimed {
    MonoTime time;
    CommandId command;
  };
  struct IdsOfCaller {
    std::unordered_map<std::string, Claimed> ids;
    std::deque<std::pair<MonoTime, std::string>> order;
  };
  static absl::Status Used(const std::string& place, const std::string& request_id,
                           const Claimed& claimed, MonoTime now);

  mutable Mutex mutex_;
  std::unordered_map<std::string, IdsOfCaller> callers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace canhub
