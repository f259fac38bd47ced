// Carries out commands: one after the other, each write checked, counted, sent and confirmed.
//
// One write: (flash: read it, skip when equal) → (read the bounds where they are not known) → check
// → (flash: count it on disk) → send → the unit's answer confirms it. Nothing is sent of a command
// whose first check fails, and nothing twice (S01) but what the unit says it has not done: a write
// to RAM, and a safe action, which is counted again.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/studer/exchange_queue.h"
#include "drivers/studer/flash_wear.h"
#include "drivers/studer/parameter_image.h"

namespace canhub::studer {

class WriteRunner {
 public:
  struct Parts {
    ExchangeQueue& queue;
    FlashWear& wear;
    ParameterImage& image;
    // OK while the unit answers; else what commands are refused with.
    std::function<absl::Status()> online;
  };
  // All outlive it.
  WriteRunner(const DriverContext& context, const Settings& settings, const UnitItems& items,
              Parts parts);

  void Execute(Command command);
  void Cancel(CommandId id, const absl::Status& why);
  void AbortAll(const absl::Status& why);
  // All but safe actions.
  void AbortOrdinary(const absl::Status& why);

 private:
  struct Write {
    const Entry* entry = nullptr;
    Value value;
    Part part = Part::kRam;
    bool force = false;
  };
  struct Active {
    Command command;
    std::vector<Write> writes;
    size_t at = 0;
    bool sent = false;     // the write at `at` was given to the bus
    bool on_wire = false;  // the last write was
    std::vector<std::string> done;
    std::vector<ItemId> items;
    Arguments results;
  };

  void StartNext();
  absl::StatusOr<std::vector<Write>> Plan(const Command& command) const;
  absl::StatusOr<std::vector<Write>> PlanAction(const ActionCall& call) const;
  absl::StatusOr<Write> PlanWrite(const Entry& entry, const Value& value, Part part,
                                  bool force) const;
  absl::StatusOr<const Entry*> FindParameter(const ActionCall& call, const char* argument) const;
  absl::Status CheckLimit(const Entry& entry, const Value& value) const;
  absl::Status CheckRate(const Write& write) const;
  absl::Status CheckBounds(const Write& write) const;

  bool is_safe() const;
  void Ask(const Write& write, Service service, Part part,
           std::function<void(const Outcome&)> done);
  void Begin();
  void CompareFlash();
  void ReadBounds();
  void CountAndSend();
  void Send();
  bool RepeatFailed();
  void OnWritten(const Outcome& outcome);
  bool IsInRam(const Write& write) const;
  void WriteDone(bool skipped);
  // To the next write; false: it was the last, and the command has ended.
  bool Advance(bool skipped);
  void Reached(Stage stage, MonoTime time);
  void Finish(absl::Status status);
  absl::Status WithHistory(const absl::Status& why, bool uncertain) const;

  const DriverContext context_;
  const Settings& settings_;
  const UnitItems& items_;
  const Parts parts_;
  std::deque<Command> waiting_;
  std::optional<Active> active_;
  bool starting_ = false;
  uint64_t run_ = 0;  // of active_: what was asked for an earlier one comes to nothing
  std::map<uint16_t, MonoTime> last_write_;
};

}  // namespace canhub::studer
