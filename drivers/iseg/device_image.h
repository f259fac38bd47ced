// What is known of a device at the moment, which is what is published of it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "drivers/api/driver.h"
#include "drivers/iseg/items.h"

namespace canhub::iseg {

// On the actor's thread. `clock` and `state` outlive it.
class DeviceImage {
 public:
  static constexpr int kDevice = -1;  // in place of a channel

  DeviceImage(const Clock& clock, StatePublisher& state, std::shared_ptr<const DeviceItems> items);

  // A new table: everything is NEVER_READ again.
  void Rebuild(std::shared_ptr<const DeviceItems> items);
  const DeviceItems& items() const { return *items_; }
  int channels() const { return items_->channels(); }

  // How long readings of a DATA_ID are GOOD.
  void SetGoodFor(uint16_t data_id, Duration good_for) { good_for_[data_id] = good_for; }
  // Publishes what a wanted answer says. An error is a bad frame: it has changed nothing. An answer
  // without data makes the items BAD and is remembered.
  absl::Status Apply(const Answer& answer, MonoTime time);
  // A piece of a text group; true when the text is complete and published.
  absl::StatusOr<bool> ApplyPiece(const Answer& answer, MonoTime time);
  // No more pieces come: publishes a text whose end nothing marks (a multiple of five characters).
  void EndText(uint16_t data_id);
  // A value that the driver computed.
  void Publish(ItemId item, Value value, MonoTime time, Duration good_for);
  void Invalidate(ItemId item, Quality quality);
  // The link is gone: nothing is known any more.
  void ForgetAll();

  // True when the device answered it without data, for all channels.
  bool IsAbsent(uint16_t data_id) const;
  // Treats a DATA_ID that was never answered as absent.
  void MarkAbsent(uint16_t data_id);
  void ClearAbsent() { absent_.clear(); }

  // GOOD values only; nullopt for items the device lacks, unread and stale ones.
  std::optional<Value> Get(ItemId item) const;
  std::optional<Value> Get(int channel, std::string_view name) const;
  std::optional<double> Number(int channel, std::string_view name) const;
  // A flag, also one that is a bit of a register.
  std::optional<bool> Flag(int channel, std::string_view name) const;
  // An integer register by its DATA_ID (16-bit form; the wide one where the device has it).
  std::optional<uint32_t> Register(int channel, uint16_t data_id) const;
  std::optional<MonoTime> ReadTime(ItemId item) const;
  MonoTime GoodUntil(ItemId item) const;
  // The last GOOD value, GOOD still or STALE: for texts of alarms.
  std::optional<Value> Last(int channel, std::string_view name) const;

  std::optional<ItemId> Find(int channel, std::string_view name) const;
  // The register's storage item.
  std::optional<ItemId> FindRegister(int channel, uint16_t data_id) const;
  // "ch3.event_trip": the flag of a bit; "ch3.event_status bit 13" where no item names it.
  std::string BitName(int channel, uint16_t data_id, int bit) const;

 private:
  const Clock& clock_;
  StatePublisher& state_;
  std::shared_ptr<const DeviceItems> items_;
  std::map<uint16_t, Duration> good_for_;
  std::set<std::pair<uint16_t, int>> absent_;  // DATA_ID, index
  std::map<uint16_t, TextAssembler> texts_;
  std::map<uint16_t, MonoTime> text_times_;  // of their last pieces
};

}  // namespace canhub::iseg
