#include "daemon/core/mailbox.h"

#include <algorithm>

namespace canhub {

bool Mailbox::PushCommand(PostedCommand& command) {
  const std::lock_guard lock(mutex_);
  if (command.command.urgency == Urgency::kSafe) {
    urgent_.safe_commands.push_back(std::move(command));
    has_urgent_.store(true, std::memory_order_release);
    return true;
  }
  if (commands_.size() >= kMaxCommands) {
    CountOverflow();
    return false;
  }
  commands_.push_back(std::move(command));
  return true;
}

bool Mailbox::PushRefresh(PostedRefresh& refresh) {
  const std::lock_guard lock(mutex_);
  if (refreshes_.size() >= kMaxRefreshes) {
    CountOverflow();
    return false;
  }
  refreshes_.push_back(std::move(refresh));
  return true;
}

void Mailbox::PushCancel(CommandId id, absl::Status why) {
  const std::lock_guard lock(mutex_);
  urgent_.cancels.emplace_back(id, std::move(why));
  has_urgent_.store(true, std::memory_order_release);
}

void Mailbox::PushBusState(BusState state) {
  const std::lock_guard lock(mutex_);
  if (!CanTransmit(state)) {
    urgent_.bus_away = state;
    for (PostedCommand& command : commands_) command.bus_lost = state;
    for (PostedCommand& command : urgent_.safe_commands) command.bus_lost = state;
  }
  urgent_.bus_now = state;
  has_urgent_.store(true, std::memory_order_release);
}

void Mailbox::PushFrame(const RxFrame& frame) {
  const std::lock_guard lock(mutex_);
  if (frames_ >= kMaxFrames) {
    CountOverflow();
    while (!std::holds_alternative<RxFrame>(traffic_[oldest_frame_])) ++oldest_frame_;
    traffic_[oldest_frame_++] = std::monostate();
    --frames_;
    if (++dropped_ >= kMaxFrames) {
      std::erase_if(traffic_,
                    [](const Traffic& t) { return std::holds_alternative<std::monostate>(t); });
      dropped_ = oldest_frame_ = 0;
    }
  }
  traffic_.emplace_back(frame);
  ++frames_;
}

void Mailbox::PushTxReport(const TxReport& report) {
  const std::lock_guard lock(mutex_);
  traffic_.emplace_back(report);
}

void Mailbox::PushConfig(DeviceConfig config) {
  const std::lock_guard lock(mutex_);
  urgent_.config = std::move(config);
  has_urgent_.store(true, std::memory_order_release);
}

void Mailbox::PushRestart() {
  const std::lock_guard lock(mutex_);
  urgent_.restart = true;
  has_urgent_.store(true, std::memory_order_release);
}

Mailbox::Urgent Mailbox::TakeUrgent() {
  const std::lock_guard lock(mutex_);
  has_urgent_.store(false, std::memory_order_release);
  return std::exchange(urgent_, {});
}

void Mailbox::TakeTraffic(std::vector<Traffic>* traffic) {
  traffic->clear();
  const std::lock_guard lock(mutex_);
  traffic_.swap(*traffic);
  frames_ = dropped_ = oldest_frame_ = 0;
}

std::vector<Mailbox::PostedCommand> Mailbox::TakeCommands() {
  const std::lock_guard lock(mutex_);
  return std::exchange(commands_, {});
}

std::optional<Mailbox::PostedCommand> Mailbox::TakeCommand(CommandId id) {
  const std::lock_guard lock(mutex_);
  for (std::vector<PostedCommand>* commands : {&urgent_.safe_commands, &commands_}) {
    for (auto it = commands->begin(); it != commands->end(); ++it) {
      if (it->command.id != id) continue;
      PostedCommand taken = std::move(*it);
      commands->erase(it);
      return taken;
    }
  }
  return std::nullopt;
}

std::vector<Mailbox::PostedRefresh> Mailbox::TakeRefreshes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(refreshes_, {});
}

bool Mailbox::empty() const {
  if (has_urgent()) return false;
  const std::lock_guard lock(mutex_);
  return traffic_.empty() && commands_.empty() && refreshes_.empty();
}

}  // namespace canhub
