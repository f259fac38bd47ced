// The driver of any device that a DBC describes: its messages and signals are items.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/api/awaited_frames.h"
#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/dbc/message_map.h"

namespace canhub::dbc_device {

inline constexpr char kStopSending[] = "stop_sending";

// Runs on its actor's thread. Never sends by itself but what a command wrote: a message with the
// other signals' last values, once, or again and again until stop_sending, a bus that goes away, or
// the end of the lease.
class DbcDriver final : public Driver {
 public:
  DbcDriver(DriverContext context, Settings settings);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override;
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;

 private:
  // By the index of MessageMap.
  struct State {
    std::vector<std::optional<dbc::Bits>> known;  // last received or sent, by signal
    MonoTime received{};                          // the epoch: never
    TimerId sending = 0;                          // its period runs
  };
  struct Outgoing {
    int message = 0;
    CanFrame frame;
    std::vector<std::optional<dbc::Bits>> values;
    bool out = false;
  };
  struct Job {
    CommandId id = 0;
    Command command;
    std::shared_ptr<CommandGuard> guard;
    std::vector<Outgoing> frames;
    uint64_t first_tag = 0;
    size_t reported = 0;
    std::vector<ItemId> items;
    bool echo = true;
  };

  void Publish(int index, int signal, dbc::Bits bits, MonoTime time);
  Duration GoodFor(int index) const;
  absl::StatusOr<std::vector<Outgoing>> Plan(const std::vector<ItemWrite>& writes) const;
  absl::StatusOr<CanFrame> Encode(const dbc::Message& message,
                                  const std::vector<std::optional<dbc::Bits>>& values,
                                  const std::vector<bool>& written) const;
  void OnOut(Job& job, Outgoing& outgoing, MonoTime time);
  void SendAgain(int index);
  void StopSending();
  void AbortAll(const absl::Status& why);
  // Ends the job; what was done stands in the error.
  void Finish(size_t job, absl::Status status);
  absl::Status Error(absl::StatusCode code, const char* reason, const std::string& text) const;
  absl::Status BusAway() const;
  void UpdateLink();

  DriverContext context_;
  const Settings settings_;
  const MessageMap map_;
  TimerScope timers_;
  AwaitedFrames awaited_;
  std::vector<State> states_;
  std::vector<Job> jobs_;
  uint64_t last_tag_ = 0;
  BusState bus_state_ = BusState::kDown;
  bool started_ = false;
  bool polled_ = false;
  LinkState link_ = LinkState::kSearching;
};

}  // namespace canhub::dbc_device
