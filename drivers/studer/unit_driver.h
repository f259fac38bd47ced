// The driver of one unit behind an Xcom-CAN: joins the parts, finds the unit and polls it.
//
//   searching → (an answer) → identifying → (firmware, serial number) → online, polling
//   online → (three questions without answer, or DEVICE_NOT_FOUND) → lost → searching
// While it searches it asks one question, each time after a longer pause: a unit that is not there
// takes the gateway's time from nobody.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "drivers/api/driver.h"
#include "drivers/api/timer_scope.h"
#include "drivers/studer/exchange_queue.h"
#include "drivers/studer/flash_wear.h"
#include "drivers/studer/messages.h"
#include "drivers/studer/parameter_image.h"
#include "drivers/studer/settings.h"
#include "drivers/studer/unit_items.h"
#include "drivers/studer/write_runner.h"

namespace canhub::studer {

class UnitDriver final : public Driver {
 public:
  static constexpr Duration kFirstPause = std::chrono::seconds(1);
  static constexpr Duration kLongestPause = std::chrono::seconds(30);
  // Questions in a row without an answer, after which the unit counts as lost.
  static constexpr int kMostMisses = 3;
  // An object that the unit said it does not have is asked for again in every so manieth round.
  static constexpr uint64_t kRoundsOfMissing = 20;
  // Objects of one fresh read: some seconds of the gateway's time.
  static constexpr size_t kMostFresh = 64;

  explicit UnitDriver(const DriverContext& context);

  void Start() override;
  void OnFrame(const RxFrame& frame) override;
  void OnTxReport(const TxReport& report) override;
  void OnBusState(BusState state) override;
  void Execute(Command command) override;
  void Cancel(CommandId id, absl::Status why) override;
  void Refresh(std::vector<ItemId> items, std::function<void(absl::Status)> done) override;
  void OnTurn() override;

 private:
  enum class Phase : uint8_t { kBusDown, kSearching, kIdentifying, kOnline };
  struct FreshRead;

  bool can_be_asked() const { return probe_ != 0; }
  absl::Status Online() const;
  void Search();
  void OnProbe(const Outcome& outcome);
  void Identify();
  void ReadPair(uint16_t high_id, std::function<void(uint32_t)> store);
  void GoOnline();
  void GoLost(const std::string& why);
  // Of every question: notices that the unit is gone.
  void Watch(const Outcome& outcome);

  void StartRound();
  void PollNext();
  void Polled(const Entry& entry, const Outcome& outcome);
  void AskFor(const Entry& entry, Part part, Rank rank, int tries,
              std::function<void(const Outcome&)> done);
  void Store(const Entry& entry, Part part, const Outcome& outcome);
  void EndAll(const absl::Status& why, bool bus_is_down);
  void AskFresh(const Entry& entry, const std::shared_ptr<FreshRead>& read);

  const DriverContext context_;
  const Settings settings_;
  const uint16_t probe_;  // 0: a unit that is heard, not asked
  const UnitItems& items_;
  const Duration poll_spacing_;  // so that polling keeps to its share of the line
  TimerScope timers_;
  ExchangeQueue queue_;
  FlashWear wear_;
  Messages messages_;
  ParameterImage image_;
  WriteRunner writes_;

  Phase phase_ = Phase::kBusDown;
  bool started_ = false;
  Duration pause_ = kFirstPause;
  int misses_ = 0;
  int open_identities_ = 0;
  std::vector<const Entry*> polled_;
  std::set<const Entry*> missing_;  // objects that this unit does not have
  bool polling_ = false;
  uint64_t rounds_ = 0;
  size_t next_poll_ = 0;
  MonoTime round_started_{};
  MonoTime last_poll_{};  // when it was due
  std::vector<std::weak_ptr<FreshRead>> reads_;
  uint64_t life_ = 0;  // rises when the unit is lost or the bus goes: older answers are nobody's
};

}  // namespace canhub::studer
