#include "daemon/core/request_ids.h"

#include "daemon/core/gate_checks.h"
#include "drivers/api/errors.h"

namespace canhub {
namespace {

using absl::StatusCode;

std::string Key(const std::string& place, const std::string& request_id) {
  return place + '\0' + request_id;
}

}  // namespace

absl::Status RequestIds::Claim(const std::string& identity, const std::string& place,
                               const std::string& request_id, CommandId command, MonoTime now) {
  MutexLock lock(&mutex_);
  IdsOfCaller& caller = callers_[identity];
  while (!caller.order.empty() && caller.order.front().first <= now - kMemory) {
    // An id that was given back and claimed again stands twice in the order; its last claim counts.
    const auto old = caller.ids.find(caller.order.front().second);
    if (old != caller.ids.end() && old->second.time == caller.order.front().first) {
      caller.ids.erase(old);
    }
    caller.order.pop_front();
  }
  if (caller.order.size() >= kMaxPerCaller) {
    return MakeError(
        StatusCode::kResourceExhausted, "TOO_MANY_REQUEST_IDS",
        place + ": " + identity + " has used " + std::to_string(kMaxPerCaller) +
            " request ids in 10 minutes, which is the most that are remembered; nothing was sent",
        {{"device_id", place}, {"maximum", std::to_string(kMaxPerCaller)}});
  }
  std::string key = Key(place, request_id);
  const auto [entry, fresh] = caller.ids.try_emplace(key, Claimed{now, command});
  if (!fresh) return Used(place, request_id, entry->second, now);
  caller.order.emplace_back(now, std::move(key));
  return absl::OkStatus();
}

absl::Status RequestIds::Look(const std::string& identity, const std::string& place,
                              const std::string& request_id, MonoTime now) const {
  MutexLock lock(&mutex_);
  const auto caller = callers_.find(identity);
  if (caller == callers_.end()) return absl::OkStatus();
  const auto entry = caller->second.ids.find(Key(place, request_id));
  const bool used = entry != caller->second.ids.end() && entry->second.time > now - kMemory;
  return used ? Used(place, request_id, entry->second, now) : absl::OkStatus();
}

absl::Status RequestIds::Used(const std::string& place, const std::string& request_id,
                              const Claimed& claimed, MonoTime now) {
  const auto ago =
      std::chrono::duration_cast<std::chrono::milliseconds>(now - claimed.time).count();
  const std::string printable = Printable(request_id, kMaxLength);
  return MakeError(StatusCode::kAlreadyExists, "REQUEST_ID_USED",
                   place + ": request id \"" + printable + "\" was used " + std::to_string(ago) +
                       " ms ago for command " + std::to_string(claimed.command) +
                       "; nothing was sent",
                   {{"device_id", place},
                    {"request_id", printable},
                    {"command_id", std::to_string(claimed.command)}});
}

void RequestIds::GiveBack(const std::string& identity, const std::string& place,
                          const std::string& request_id) {
  MutexLock lock(&mutex_);
  const auto caller = callers_.find(identity);
  if (caller != callers_.end()) caller->second.ids.erase(Key(place, request_id));
}

}  // namespace canhub
