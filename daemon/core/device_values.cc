#include "daemon/core/device_values.h"

#include <utility>

namespace canhub {

// ---------------------------------------------------------------- DeviceValues

absl::Status DeviceValues::Load() {
  if (store_ == nullptr) return absl::OkStatus();
  absl::StatusOr<std::vector<DeviceValue>> values = store_->LoadAll();
  if (!values.ok()) return values.status();
  for (DeviceValue& v : *values) loaded_[v.device_id][v.key] = std::move(v.value);
  return absl::OkStatus();
}

DeviceValues::Values DeviceValues::Loaded(const std::string& device_id) const {
  const auto found = loaded_.find(device_id);
  return found == loaded_.end() ? Values() : found->second;
}

void DeviceValues::Put(Write write) {
  {
    MutexLock lock(&mutex_);
    waiting_.push_back(std::move(write));
  }
  Wake();
}

std::vector<DeviceValues::Write> DeviceValues::Take() {
  MutexLock lock(&mutex_);
  return std::exchange(waiting_, {});
}

absl::Status DeviceValues::Save(const Write& write) {
  if (store_ == nullptr) return absl::OkStatus();
  return store_->Save({write.device_id, write.key, write.value});
}

MonoTime DeviceValues::RunUntil(MonoTime) {
  for (const Write& write : Take()) {
    const absl::Status status = Save(write);
    if (write.done) write.done(status);
  }
  return kNever;
}

void DeviceValues::WriteRest() {
  for (const Write& write : Take()) Save(write).IgnoreError();
}

// ---------------------------------------------------------------- ActorMemory

ActorMemory::ActorMemory(std::string device_id, DeviceValues* values, std::function<void()> wake)
    : device_id_(std::move(device_id)), values_(values), wake_(std::move(wake)) {
  if (values_ != nullptr) newest_ = values_->Loaded(device_id_);
}

std::optional<std::string> ActorMemory::Get(std::string_view key) const {
  const auto found = newest_.find(key);
  if (found == newest_.end()) return std::nullopt;
  return found->second;
}

void ActorMemory::Put(std::string_view key, std::string_view value,
                      std::function<void(absl::Status)> done) {
  newest_.insert_or_assign(std::string(key), std::string(value));
  const uint64_t id = ++last_id_;
  if (done) callbacks_.emplace(id, std::move(done));
  const auto completed = [this, id](absl::Status status) {
    {
      MutexLock lock(&mutex_);
      completed_.push_back({id, std::move(status)});
    }
    wake_();
  };
  if (values_ == nullptr) return completed(absl::OkStatus());
  values_->Put({device_id_, std::string(key), std::string(value), completed});
}

std::vector<std::function<void()>> ActorMemory::TakeCompleted() {
  std::vector<Completed> completed;
  {
    MutexLock lock(&mutex_);
    completed = std::exchange(completed_, {});
  }
  std::vector<std::function<void()>> calls;
  for (Completed& c : completed) {
    const auto callback = callbacks_.find(c.id);
    if (callback == callbacks_.end()) continue;
    calls.push_back(
        [done = std::move(callback->second), status = std::move(c.status)] { done(status); });
    callbacks_.erase(callback);
  }
  return calls;
}

void ActorMemory::ForgetCallbacks() { callbacks_.clear(); }

// ---------------------------------------------------------------- CacheReadings

std::optional<OtherReading> CacheReadings::Read(std::string_view name) const {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<DeviceIndex> device = cache_->FindDevice(name.substr(0, slash));
  if (!device) return std::nullopt;
  const std::shared_ptr<const DeviceSnapshot> snapshot = cache_->Snapshot(*device);
  const std::optional<ItemId> item = snapshot->items().Find(name.substr(slash + 1));
  if (!item) return std::nullopt;
  Reading reading = snapshot->Read(*item);
  OtherReading result;
  result.quality = reading.EffectiveQuality(cache_->clock().Now());
  if (result.quality == Quality::kGood) result.value = std::move(reading.value);
  result.unit = snapshot->items().Spec(*item).unit;
  result.read_time = reading.read_time;
  return result;
}

}  // namespace canhub
