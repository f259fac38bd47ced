// Which messages of a DBC one device has, their items, and what may be written.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "drivers/api/driver.h"
#include "drivers/api/items.h"
#include "drivers/formats/dbc.h"

namespace canhub::dbc_device {

struct Settings {
  std::shared_ptr<const dbc::Database> database;
  std::string messages;  // patterns of names
  std::string writable;  // patterns of "Message" or "Message.Signal"
  bool periodic = false;
  bool check_range = true;
  bool all_ones_is_bad = false;
  Duration period{};  // of messages without GenMsgCycleTime
  int stale_periods = 3;
};

// INVALID_ARGUMENT: the DBC, a pattern that fits nothing, a message that cannot be used.
absl::StatusOr<Settings> ParseSettings(const DeviceConfig& config);
std::vector<ParameterSpec> DriverParameters();

struct MappedMessage {
  const dbc::Message* message = nullptr;
  int block = 0;          // of the item table; its specs are the message's signals
  bool writable = false;  // at least one of its signals
  Duration period{};      // expected, or sent with
};

class MessageMap {
 public:
  // Requires settings that were checked.
  explicit MessageMap(const Settings& settings);
  const std::vector<MappedMessage>& messages() const { return messages_; }
  const std::shared_ptr<const ItemTable>& table() const { return table_; }
  ItemId Item(const MappedMessage& mapped, int signal) const {
    return table_->Id(mapped.block, 0, signal);
  }
  // Index into messages(); -1: none.
  int Find(const CanFrame& frame) const;

 private:
  struct Storage;
  std::vector<MappedMessage> messages_;
  std::shared_ptr<const ItemTable> table_;
  std::unordered_map<uint64_t, int> by_id_;
};

// Identifiers of all messages that the device has.
std::vector<CanFilter> MessageFilters(const Settings& settings);

}  // namespace canhub::dbc_device
