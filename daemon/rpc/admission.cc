#include "daemon/rpc/admission.h"

#include <algorithm>
#include <utility>

#include "drivers/api/errors.h"
#include "drivers/api/value.h"

namespace canhub {
namespace {

std::string Key(const std::string& identity, const std::string& peer) {
  return identity + "\n" + peer;
}

}  // namespace

Admission::Client& Admission::Find(const std::string& key, MonoTime now) {
  const auto found = clients_.find(key);
  if (found != clients_.end()) return found->second;
  // Every connection is a new client; without this the map would grow for ever.
  if (clients_.size() >= sweep_at_) {
    Sweep(now);
    sweep_at_ = std::max<size_t>(256, 2 * clients_.size());
  }
  Client& client = clients_[key];
  client.tokens = limits_.burst;
  client.filled = now;
  return client;
}

void Admission::Sweep(MonoTime now) {
  std::erase_if(clients_, [&](const auto& entry) {
    const Client& client = entry.second;
    const double seconds = std::chrono::duration<double>(now - client.filled).count();
    return client.streams == 0 &&
           client.tokens + seconds * limits_.calls_per_second >= limits_.burst;
  });
}

absl::Status Admission::AdmitCall(const std::string& identity, const std::string& peer) {
  if (limits_.calls_per_second <= 0) return absl::OkStatus();
  const MonoTime now = clock_.Now();
  MutexLock lock(&mutex_);
  Client& client = Find(Key(identity, peer), now);
  const double seconds = std::chrono::duration<double>(now - client.filled).count();
  client.tokens = std::min(limits_.burst, client.tokens + seconds * limits_.calls_per_second);
  client.filled = now;
  if (client.tokens >= 1) {
    client.tokens -= 1;
    return absl::OkStatus();
  }
  const std::string rate = Value::Number(limits_.calls_per_second).ToString();
  const double wait = (1 - client.tokens) / limits_.calls_per_second;
  const std::string retry = std::to_string(static_cast<int64_t>(wait * 1000) + 1);
  return MakeError(absl::StatusCode::kResourceExhausted, "RATE_LIMIT",
                   identity + ": more than " + rate +
                       " calls per second on this connection; try again in " + retry +
                       " ms, or read many items in one GetItems, or watch them",
                   {{"identity", identity}, {"calls_per_second", rate}, {"retry_ms", retry}});
}

absl::StatusOr<std::unique_ptr<Admission::StreamSlot>> Admission::AdmitStream(
    const std::string& identity, const std::string& peer) {
  const MonoTime now = clock_.Now();
  MutexLock lock(&mutex_);
  Client& client = Find(Key(identity, peer), now);
  int& of_identity = streams_by_identity_[identity];
  const bool by_client = client.streams >= limits_.streams_per_client;
  if (by_client || of_identity >= limits_.streams_per_identity) {
    const std::string maximum =
        std::to_string(by_client ? limits_.streams_per_client : limits_.streams_per_identity);
    return MakeError(absl::StatusCode::kResourceExhausted, "TOO_MANY_STREAMS",
                     identity + ": " + maximum + " watches are open " +
                         (by_client ? "on this connection" : "over all its connections") +
                         "; close some, or watch many items in one",
                     {{"identity", identity}, {"maximum", maximum}});
  }
  ++client.streams;
  ++of_identity;
  return std::make_unique<StreamSlot>(this, identity, peer);
}

void Admission::Release(const std::string& identity, const std::string& peer) {
  MutexLock lock(&mutex_);
  const auto client = clients_.find(Key(identity, peer));
  if (client != clients_.end()) --client->second.streams;
  const auto of_identity = streams_by_identity_.find(identity);
  if (of_identity != streams_by_identity_.end() && --of_identity->second <= 0) {
    streams_by_identity_.erase(of_identity);
  }
}

size_t Admission::clients() const {
  MutexLock lock(&mutex_);
  return clients_.size();
}

}  // namespace canhub
