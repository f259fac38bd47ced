// A watch of alarms: those that there are, one message with synced = true, then changes; one alarm
// per message.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "daemon/rpc/stream.h"

namespace canhub {

template <typename Response>
class AlarmSource final : public MessageSource<Response> {
 public:
  // Puts an alarm into a message, or returns false: none of this watch's.
  using Fill = std::function<bool(const AlarmRecord&, Response*)>;

  // An empty device id: of all devices and buses.
  AlarmSource(RpcContext* rpc, const std::string& device_id, Kicks kicks, Fill fill)
      : watch_(rpc->hub->alarms().Watch(device_id, std::move(kicks.posted))),
        fill_(std::move(fill)) {}

  bool Next(MonoTime, Response* out, MonoTime*) override {
    while (true) {
      while (at_ < batch_.alarms.size()) {
        if (!fill_(batch_.alarms[at_++], out)) continue;
        out->set_coalesced_count(static_cast<uint32_t>(std::exchange(batch_.coalesced, 0)));
        return true;
      }
      // The first batch is the state of all; the synced message comes between it and the changes.
      if (drained_ && !std::exchange(synced_, true)) {
        out->set_synced(true);
        return true;
      }
      batch_ = watch_->Drain();
      at_ = 0;
      if (std::exchange(drained_, true) && batch_.alarms.empty()) return false;
    }
  }

 private:
  const std::unique_ptr<AlarmWatch> watch_;
  const Fill fill_;
  AlarmWatch::Batch batch_;
  size_t at_ = 0;
  bool drained_ = false;
  bool synced_ = false;
};

}  // namespace canhub
