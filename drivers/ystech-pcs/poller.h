// Reads what the device tells only when it is asked: mode, protection parameters, settings,
// versions.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/timer_scope.h"
#include "drivers/ystech-pcs/device_image.h"
#include "drivers/ystech-pcs/exchange.h"
#include "drivers/ystech-pcs/settings.h"

namespace canhub::ystech_pcs {

// A request that reads.
struct ReadRequest {
  CanFrame frame;
  std::vector<Pf> replies;
};
ReadRequest ReadProtection(const Settings& settings, int set);    // 1, 2, 3
ReadRequest ReadSpecial(const Settings& settings, uint8_t type);  // section 6.9
// The read that brings this reply; nullopt for a frame that comes by itself.
std::optional<ReadRequest> ReadOf(const Settings& settings, Pf reply);

// Asks while nothing else wants the exchange. What is not answered twice in a row is asked at the
// slow period only, and does not hold up that the device counts as polled.
class Poller {
 public:
  // `may_ask`: whether commands leave the exchange to it now. `polled`: all was read, or is known
  // not to be answered, since Start.
  Poller(const Settings& settings, const Clock& clock, Timers& timers, Exchange& exchange,
         std::function<bool()> may_ask, std::function<void()> polled);
  void Start();
  void Stop();
  // Makes what brings this reply due now.
  void Hurry(Pf reply);
  // The exchange has become free, or may have.
  void Turn();
  // A read that is under way is given up for a command: it is due again.
  void GiveWay();

 private:
  struct Item {
    ReadRequest read;
    Duration period{};
    MonoTime due{};
    int unanswered = 0;
    bool done = false;  // answered, or given up, since Start
  };
  void Ask(size_t index);
  void OnReply(size_t index, const absl::Status& status);

  const Settings& settings_;
  const Clock& clock_;
  TimerScope timers_;
  Exchange& exchange_;
  const std::function<bool()> may_ask_;
  const std::function<void()> polled_;
  std::vector<Item> items_;
  std::optional<size_t> asking_;
  bool running_ = false;
  bool told_ = false;
  TimerId timer_ = 0;
};

}  // namespace canhub::ystech_pcs
